/** Bounds against hand-made figures, and against a guest and a link played page by page. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../../base/index.ts';
import { boundsOf, type KnownGuest } from './bounds.ts';

const MIB = 2 ** 20;
const guest = (changed: Partial<KnownGuest>): KnownGuest => ({
  workload: 'uniform',
  body: 'random',
  filledPages: (100 * MIB) / 4096,
  hotPages: (40 * MIB) / 4096,
  zipfExponent: 0.99,
  ...changed,
});

test('a hot set written four times as fast as the link carries: three quarters stay stale', () => {
  const bounds = boundsOf(guest({}), 80 * MIB, 20 * MIB);
  assert.equal(bounds.transferredBytes, 100 * MIB);
  assert.equal(bounds.totalMigrationTimeMs, 5000);
  assert.equal(bounds.downtimeMs, 1500);
  assert.deepEqual(boundsOf(guest({ workload: 'stress' }), 80 * MIB, 20 * MIB), bounds);
});

test('a link that outruns the writer leaves nothing; an idle guest has nothing', () => {
  assert.equal(boundsOf(guest({}), 10 * MIB, 20 * MIB).downtimeMs, 0);
  assert.equal(boundsOf(guest({ workload: 'idle' }), 0, 20 * MIB).downtimeMs, 0);
  assert.equal(boundsOf(guest({ workload: 'sweep' }), 0, 20 * MIB).downtimeMs, 0);
});

test('unknown where bodies compress or writes change with time', () => {
  assert.equal(boundsOf(guest({ body: 'text' }), 80 * MIB, 20 * MIB).transferredBytes, null);
  const phased = boundsOf(guest({ workload: 'phased' }), 80 * MIB, 20 * MIB);
  assert.deepEqual([phased.totalMigrationTimeMs, phased.downtimeMs], [5000, null]);
});

test('zipf with exponent 0 is uniform, and the steeper it is the less is irreducible', () => {
  const downtime = (zipfExponent: number) =>
    boundsOf(guest({ workload: 'zipf', zipfExponent }), 80 * MIB, 20 * MIB).downtimeMs ?? 0;
  assert.ok(Math.abs(downtime(0) - 1500) < 1e-6);
  assert.ok(downtime(0.5) < downtime(0));
  assert.ok(downtime(1) < downtime(0.5));
  assert.ok(downtime(1.5) < downtime(1));
});

test('no sender does better, even one that knows at once which page is stale', () => {
  const [pages, writes, sends, steps] = [400, 4, 1, 40_000];
  const prng = new Prng(7);
  const stale = new Set(Array.from({ length: pages }, (_, page) => page));
  let staleSum = 0;
  for (let step = 0; step < steps; step++) {
    for (let write = 0; write < writes; write++) stale.add(prng.below(pages));
    for (const page of [...stale].slice(0, sends)) stale.delete(page);
    if (step >= steps / 2) staleSum += stale.size;
  }
  const bound = boundsOf(guest({ hotPages: pages }), writes * 4096, sends * 4096).downtimeMs ?? 0;
  const mean = staleSum / (steps / 2);
  assert.ok(mean >= (bound / 1000) * 0.98, `${mean} stale pages, bound ${bound / 1000}`);
  assert.ok(mean <= (bound / 1000) * 1.02, `${mean} stale pages, bound ${bound / 1000}`);
});
