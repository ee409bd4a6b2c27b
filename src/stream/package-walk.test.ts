import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { PackageWalk } from './package-walk.ts';

const command = (number: number, ...payload: number[]) => [8, 0, number, 0, payload.length, ...payload];
const DISCARD = command(6, 1, 2, 3);
// What is in the package may look like anything, also like pages.
const PACKAGE = [...command(7, 0, 0, 0, 6), 2, 2, 2, 8, 0, 5];
const PING = command(2, 0, 0, 0, 4);
const UNTIL_PAGES = [...DISCARD, ...DISCARD, ...PACKAGE, ...PING];

function isPastAfter(bytes: readonly number[], cuts: readonly number[] = []): boolean {
  const walk = new PackageWalk();
  let from = 0;
  for (const cut of [...cuts.toSorted((a, b) => a - b), bytes.length]) {
    walk.write(Uint8Array.from(bytes.slice(from, cut)));
    from = cut;
  }
  return walk.isPast;
}

test('past is the first byte that is no command, after the package', () => {
  for (let length = 0; length <= UNTIL_PAGES.length; length++) {
    assert.equal(isPastAfter(UNTIL_PAGES.slice(0, length)), false, `${length} bytes`);
  }
  assert.equal(isPastAfter([...UNTIL_PAGES, 2]), true);
  assert.equal(isPastAfter([...UNTIL_PAGES, 3]), true);
});

test('pages without a package before them are not past it', () => {
  assert.equal(isPastAfter([...DISCARD, 2, 0, 0]), false);
});

test('in pieces of any size', () => {
  fc.assert(
    fc.property(fc.array(fc.nat(UNTIL_PAGES.length)), (cuts) => {
      assert.equal(isPastAfter(UNTIL_PAGES, cuts), false);
      assert.equal(isPastAfter([...UNTIL_PAGES, 2, 0], cuts), true);
    }),
  );
});
