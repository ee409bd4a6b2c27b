import assert from 'node:assert/strict';
import test from 'node:test';
import { drawFault, drawFaults, replayOf } from './draw.ts';
import { KINDS } from './kinds/table.ts';
import type { Fault } from './types.ts';

const all = () => true;

test('a fault follows from its seed and its index alone', () => {
  const whole = drawFaults(KINDS, { seed: 9, from: 0, count: 50, accepts: all });
  for (const fault of whole) {
    assert.deepEqual(drawFaults(KINDS, { seed: 9, from: fault.index, count: 1, accepts: all }), [fault]);
  }
  assert.notDeepEqual(whole, drawFaults(KINDS, { seed: 10, from: 0, count: 50, accepts: all }));
});

test('a round has every kind once', () => {
  const round = drawFaults(KINDS, { seed: 3, from: 0, count: KINDS.length, accepts: all });
  assert.equal(new Set(round.map(({ kind }) => kind)).size, KINDS.length);
});

test('kinds have names of their own', () => {
  assert.equal(new Set(KINDS.map(({ kind }) => kind)).size, KINDS.length);
});

test('in time a kind meets every step in every arrangement', () => {
  const kind = KINDS.find((one) => one.kind === 'kill controller')!;
  const met = new Set<string>();
  for (let round = 0; round <= kind.arrangements.length * kind.steps.length; round++) {
    for (let index = round * KINDS.length; index < (round + 1) * KINDS.length; index++) {
      const fault = drawFault(KINDS, 4, index);
      if (fault.kind === kind.kind) met.add(`${fault.arrangement} ${fault.step}`);
    }
  }
  assert.equal(met.size, kind.arrangements.length * kind.steps.length);
});

test('only some kinds: their faults are those of the whole draw', () => {
  const accepts = ({ kind }: Fault) => kind.includes('freeze');
  const some = drawFaults(KINDS, { seed: 1, from: 5, count: 6, accepts });
  assert.equal(some.length, 6);
  for (const fault of some) assert.deepEqual(fault, drawFault(KINDS, 1, fault.index));
  assert.deepEqual(drawFaults(KINDS, { seed: 1, from: 0, count: 6, accepts: () => false }), []);
});

test('a replay names seed and index', () => {
  assert.equal(replayOf(drawFault(KINDS, 12, 34)), 'npm run faults -- --seed 12 --from 34 --count 1');
});
