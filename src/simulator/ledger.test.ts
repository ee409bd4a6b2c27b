/**
 * The ledger against page versions in plain maps: the same pages are stale, whatever is written, taken and
 * delivered.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../base/index.ts';
import { Ledger } from './ledger.ts';

const PAGES = 70_000;

/** Version numbers a page: what the guest has, what left QEMU last, what the destination has. */
class NaiveLedger {
  readonly guest = new Map<number, number>();
  readonly taken = new Map<number, number>();
  readonly arrived = new Map<number, number>();

  write(page: number): void {
    this.guest.set(page, (this.guest.get(page) ?? 0) + 1);
  }

  take(page: number): void {
    this.taken.set(page, this.guest.get(page) ?? 0);
  }

  deliver(page: number): void {
    this.arrived.set(page, this.taken.get(page)!);
  }

  stale(pages: readonly number[]): number[] {
    return pages.filter((page) => this.arrived.get(page) !== (this.guest.get(page) ?? 0));
  }
}

test('bitmaps and version numbers agree on what the destination lacks', () => {
  const prng = new Prng(12);
  const ledger = new Ledger(PAGES, PAGES - 100);
  const naive = new NaiveLedger();
  const all = Array.from({ length: PAGES }, (_, page) => page);
  const out = new Uint32Array(5000);
  const waiting = new Set<number>();
  for (let round = 0; round < 120; round++) {
    for (let write = 0; write < 200; write++) {
      const page = prng.below(PAGES - 100);
      ledger.page(page);
      naive.write(page);
    }
    const first = prng.below(PAGES - 400);
    ledger.range(first, 200);
    for (let page = first; page < first + 200; page++) naive.write(page);
    const count = ledger.take(prng.below(5000), out);
    for (const page of out.subarray(0, count)) {
      naive.take(page);
      waiting.add(page);
    }
    for (const page of [...waiting].slice(0, 1500)) {
      ledger.deliver(page);
      naive.deliver(page);
      waiting.delete(page);
    }
    if (ledger.passPages === 0) ledger.sync();
    if (round % 20 === 0) assert.equal(ledger.stalePages, naive.stale(all).length, `round ${round}`);
  }
  assert.equal(ledger.stalePages, naive.stale(all).length);
  const again = naive.stale(all).filter((page) => naive.arrived.has(page));
  assert.equal(ledger.staleAgainPages, again.length);
});

test('a write to settled pages changes nothing, and only there', () => {
  const prng = new Prng(5);
  const ledger = new Ledger(PAGES, PAGES);
  const dirty = new Set<number>();
  const out = new Uint32Array(3000);
  const waiting: number[] = [];
  let found = 0;
  for (let round = 0; round < 300; round++) {
    const first = prng.below(PAGES);
    const count = Math.min(PAGES - first, 1 + prng.below(40_000));
    ledger.range(first, count);
    for (let page = first; page < first + count; page++) dirty.add(page);
    const taken = out.subarray(0, ledger.take(prng.below(300), out));
    for (const page of taken) dirty.delete(page);
    waiting.push(...taken);
    if (round % 7 === 0) for (const page of waiting.splice(0)) ledger.deliver(page);
    if (ledger.passPages === 0 || round % 31 === 0) {
      ledger.sync();
      dirty.clear();
    }
    const from = prng.below(PAGES);
    const length = Math.min(PAGES - from, 1 + prng.below(prng.below(2) === 0 ? 100 : 40_000));
    const expected = Array.from({ length }, (_, at) => from + at).every((page) => dirty.has(page));
    assert.equal(ledger.settled(from, length), expected, `round ${round}: ${from}, ${length}`);
    if (!expected) continue;
    found++;
    const before = [ledger.stalePages, ledger.staleAgainPages];
    ledger.range(from, length);
    assert.deepEqual([ledger.stalePages, ledger.staleAgainPages], before);
  }
  assert.ok(found > 20, `${found}`);
});

function finish(ledger: Ledger, lose: number | null): void {
  const out = new Uint32Array(4096);
  while (ledger.passPages > 0 || ledger.sync() > 0) {
    const count = ledger.take(out.length, out);
    for (const page of out.subarray(0, count)) if (page !== lose) ledger.deliver(page);
  }
}

test('a lost page, and one delivered before it was written again, are found', () => {
  const whole = new Ledger(100, 100);
  finish(whole, null);
  whole.assertConserved();

  const lost = new Ledger(100, 100);
  finish(lost, 42);
  assert.throws(() => lost.assertConserved(), /1 did not/);

  const old = new Ledger(100, 100);
  finish(old, null);
  old.page(7);
  old.deliver(7);
  assert.throws(() => old.assertConserved(), /QEMU has sent everything: 1 pages are left/);
});

test('a scan goes round: a sync does not bring it back to the beginning', () => {
  const ledger = new Ledger(96, 96);
  const out = new Uint32Array(96);
  assert.equal(ledger.take(40, out), 40);
  ledger.page(3);
  ledger.sync();
  assert.deepEqual([...out.subarray(0, ledger.take(96, out))].slice(0, 2), [40, 41]);
  assert.equal(ledger.passPages, 0);
});
