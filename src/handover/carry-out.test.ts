/**
 * The races of carrying out, under a virtual clock: a few by hand, then cancels, losses, late answers and
 * third parties in every order.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { VirtualTime } from '../base/virtual-time.testing.ts';
import { type Act, type Acts, type CarryOutOptions, carryOut } from './carry-out.ts';
import { beginHandover } from './start.ts';
import { RAN } from './told.testing.ts';
import { OTHERS, TwoEnds } from './two-ends.testing.ts';
import type { Effect, HandoverState, Loss } from './types.ts';

const DEADLINE_MS = 1_000;
const GRACE_MS = 5_000;
const EFFECTS = [
  ...(['hurry', 'record', 'stop-source', 'drain', 'prove', 'release-source', 'look'] as const),
  ...(['start-destination', 'end-source', 'take-back', 'end-destination', 'cancel-migration'] as const),
  ...(['restore-settings', 'continue-source', 'stop-source-again'] as const),
];

class Refusal extends Error {}
class GuestEnded extends Error {}

/**
 * `lost`: it happens, and no answer comes. `deaf`: it does not heed its signal. `stuck`: nothing ever comes
 * of it, nor does it stop.
 * `hides`: of a look, one end does not answer.
 */
const MANNERS = [
  'prompt',
  'fails',
  'refuses',
  'lost',
  'deaf',
  'stuck',
  'hides source',
  'hides there',
] as const;
interface Manner {
  readonly how: (typeof MANNERS)[number];
  readonly takesMs: number;
}
const PROMPT: Manner = { how: 'prompt', takesMs: 1 };

interface Race {
  /** The manner of each effect in turn; `prompt` after the last. */
  readonly manners: readonly Manner[];
  readonly lossMs: number | null;
  /** Lost in the moment in which this phase begins. */
  readonly loseIn?: HandoverState['phase'];
  readonly deadlineMs?: number | null;
  readonly others: readonly { readonly atMs: number; readonly what: (typeof OTHERS)[number] }[];
}

interface Run {
  readonly state: HandoverState;
  readonly world: TwoEnds;
  readonly begun: readonly string[];
  readonly begunAfterHalt: readonly string[];
  readonly tookMs: number;
}

async function race(drawn: Race, sourceAfter: 'keep' | 'quit' = 'keep'): Promise<Run> {
  const { manners, lossMs, others, loseIn, deadlineMs = DEADLINE_MS } = drawn;
  const time = new VirtualTime();
  const world = new TwoEnds();
  const begun: string[] = [];
  let underWay = 0;
  let haltedAt: number | null = null;
  const act: Act = async (effect: Effect, signal) => {
    const { how, takesMs } = manners[begun.length] ?? PROMPT;
    begun.push(effect.do === 'record' ? `record ${effect.step}` : effect.do);
    assert.equal(++underWay, 1, 'two effects at once');
    try {
      if (how === 'stuck') return await new Promise<never>(() => undefined);
      await (how === 'deaf' ? time.wait(takesMs) : time.sleep(takesMs, signal));
      if (how === 'fails') throw new Error('it broke');
      if (how === 'refuses') throw new Refusal('it was refused');
      if (effect.do === 'look') {
        const hidden = how === 'hides source' ? 'source' : how === 'hides there' ? 'destination' : null;
        return world.look(hidden) as never;
      }
      const result = world.happen(effect);
      if (how === 'lost') await time.sleep(Infinity, signal);
      return result as never;
    } finally {
      underWay--;
    }
  };
  const { promise: lost, resolve: lose } = Promise.withResolvers<Loss>();
  if (lossMs !== null) time.at(lossMs, () => lose({ why: 'cancelled' }));
  for (const { atMs, what } of others) time.at(atMs, () => world.other(what));
  const options: CarryOutOptions = {
    acts: Object.fromEntries(EFFECTS.map((name) => [name, act])) as unknown as Acts,
    isRefusal: (error) => error instanceof Refusal,
    guestEndOf: (error) => (error instanceof GuestEnded ? error.message : null),
    deadlineMsOf: () => deadlineMs,
    wait: (ms, signal) => time.wait(ms, signal),
    graceMs: GRACE_MS,
    lost,
    onState: ({ phase }) => {
      if (phase === 'halting') haltedAt = begun.length;
      if (phase === loseIn) lose({ why: 'cancelled' });
    },
  };
  const state = await time.run(carryOut(beginHandover({ ...RAN, sourceAfter }), options));
  return {
    ...{ state, world, begun, tookMs: time.nowMs() },
    begunAfterHalt: haltedAt === null ? [] : begun.slice(haltedAt),
  };
}

const calm = { lossMs: null, others: [] };
/** The first `count` effects are prompt. */
const after = (count: number, ...manners: Manner[]) => [...Array<Manner>(count).fill(PROMPT), ...manners];

test('undisturbed, the VM arrives', async () => {
  const { state, world } = await race({ ...calm, manners: [] }, 'quit');
  assert.deepEqual(
    [state.outcome?.outcome, world.destination, world.source],
    ['completed', 'running', 'gone'],
  );
});

test('a cancel is answered by nothing until the step under way has stopped', async () => {
  // The stop is deaf for two seconds: it happens all the same, and what is looked at afterwards has it.
  const { begun, world, state } = await race({
    ...calm,
    manners: after(2, { how: 'deaf', takesMs: 2_000 }),
    lossMs: 10,
  });
  assert.deepEqual(begun.slice(2, 5), ['stop-source', 'look', 'end-destination']);
  assert.deepEqual([state.outcome?.outcome, world.source, world.destination], ['aborted', 'running', 'gone']);
});

test('what is lost already begins no other step', async () => {
  const atOnce = await race({ ...calm, manners: [], loseIn: 'hurrying' });
  assert.equal(atOnce.begun[0], 'look');
  const later = await race({ ...calm, manners: [], loseIn: 'stopping' });
  assert.deepEqual(later.begun.slice(0, 3), ['hurry', 'record stop', 'look']);
});

test('a step that is told to stop and ends well all the same has happened', async () => {
  const { state, begun } = await race({ ...calm, manners: after(3, { how: 'deaf', takesMs: 1_500 }) });
  assert.equal(state.outcome?.outcome, 'completed');
  assert.equal(begun.filter((name) => name === 'drain').length, 1);
});

test('a step that ends neither well nor badly is told as what its deadline was', async () => {
  const { state } = await race({ ...calm, manners: after(3, { how: 'lost', takesMs: 1 }) });
  assert.match(state.outcome!.text, /drain did not end within 1000 ms; the source VM runs/);
});

test('beside a step that does not stop nothing is done', async () => {
  for (const [lossMs, deadlineMs] of [
    [null, DEADLINE_MS],
    [10, DEADLINE_MS],
    [10, null],
  ] as const) {
    const manners = after(2, { how: 'stuck', takesMs: 0 });
    const { state, begun, tookMs } = await race({ ...calm, manners, lossMs, deadlineMs });
    assert.equal(begun.at(-1), 'stop-source');
    assert.match(state.outcome!.text, /stop-source neither ends nor stops/);
    assert.ok(tookMs <= 10 + DEADLINE_MS + GRACE_MS);
  }
});

test('a cancel in the moment of COMMIT changes nothing: the step that was asked for is taken', async () => {
  for (const loseIn of ['recording-commit', 'starting', 'confirming'] as const) {
    const { state, begun } = await race({ ...calm, manners: [], loseIn });
    assert.equal(state.outcome?.outcome, 'completed');
    assert.deepEqual(begun.slice(-4), ['record commit', 'start-destination', 'look', 'record running']);
  }
});

test('what the guest itself brought about is told, also by a step that is late', async () => {
  for (const late of [false, true]) {
    const time = new VirtualTime();
    const world = new TwoEnds();
    const prompt: Act = async (effect) =>
      (effect.do === 'look' ? world.look(null) : world.happen(effect)) as never;
    const acts = {
      ...(Object.fromEntries(EFFECTS.map((name) => [name, prompt])) as unknown as Acts),
      'stop-source': async () => {
        if (late) await time.wait(DEADLINE_MS + 1);
        throw new GuestEnded('the guest shut down');
      },
    };
    const ended = carryOut(beginHandover(RAN), {
      acts,
      isRefusal: () => false,
      guestEndOf: (error) => (error instanceof GuestEnded ? error.message : null),
      deadlineMsOf: () => DEADLINE_MS,
      wait: (ms, signal) => time.wait(ms, signal),
      lost: null,
    });
    assert.equal((await time.run(ended)).known.guestEnded, 'the guest shut down');
  }
});

const manner = fc.record({
  how: fc.oneof({ weight: 3, arbitrary: fc.constant('prompt' as const) }, fc.constantFrom(...MANNERS)),
  takesMs: fc.oneof(
    fc.constantFrom(0, 1, DEADLINE_MS, DEADLINE_MS + GRACE_MS),
    fc.integer({ min: 0, max: 7_000 }),
  ),
});
const momentMs = fc.oneof(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 0, max: 8_000 }));
const races: fc.Arbitrary<Race> = fc.record({
  manners: fc.array(manner, { maxLength: 20 }),
  lossMs: fc.option(momentMs),
  others: fc.array(fc.record({ atMs: momentMs, what: fc.constantFrom(...OTHERS) }), { maxLength: 3 }),
});
const FORWARD = new Set([
  ...['hurry', 'record stop', 'stop-source', 'drain', 'prove', 'release-source', 'record prepared'],
]);
/** The longest way there is: forward to the last look, all the way back, and three starts. */
const EFFECTS_MAX = 24;

test('in every order: one effect at a time, no promise broken, and an end in time', async () => {
  const property = fc.asyncProperty(races, fc.constantFrom('keep', 'quit'), async (drawn, sourceAfter) => {
    const { state, world, begun, begunAfterHalt, tookMs } = await race(drawn, sourceAfter);
    const { outcome, text } = state.outcome!;
    assert.deepEqual(world.violations, []);
    assert.deepEqual(
      begunAfterHalt.filter((name) => FORWARD.has(name)),
      [],
    );
    assert.ok(begun.length <= EFFECTS_MAX, `${begun.length} effects`);
    assert.ok(tookMs <= EFFECTS_MAX * (DEADLINE_MS + GRACE_MS));
    if (outcome === 'in-doubt' || world.actedSinceLook) return;
    assert.ok(!(world.source === 'running' && world.destination === 'running'), 'two run');
    if (outcome === 'completed') assert.equal(world.destination, 'running');
    if (text.endsWith('the source VM runs')) assert.equal(world.source, 'running');
  });
  await fc.assert(property, { numRuns: 4_000 });
});
