/**
 * The model's own test: each of these breaks one rule, around the machine or around the world, and must be
 * caught.
 */

import type { Fact, HandoverState, Step } from '../../src/handover/index.ts';
import { LAWS, type Laws } from './laws.ts';
import type { Budgets } from './layout.ts';
import type { StepRule } from './machines.ts';

export interface Mutation {
  readonly name: string;
  readonly laws: Partial<Laws>;
  /** The smallest that show it. */
  readonly budgets: Partial<Budgets>;
}

export function lawsOf({ laws }: Mutation): Laws {
  return { ...LAWS, ...laws };
}

/** The machine believes something else of what it knows. */
function believing(change: (state: HandoverState, fact: Fact) => HandoverState): StepRule {
  return (state, fact, step) => step(change(state, fact), fact);
}

/** The machine is told something else than what is. */
function seeing(change: (fact: Fact) => Fact): StepRule {
  return (state, fact, step) => step(state, change(fact));
}

/** What is in doubt after COMMIT ends with the source continued. */
const continuesAfterCommit: StepRule = (state, fact, step): Step => {
  const next = step(state, fact);
  if (next.state.outcome?.outcome !== 'in-doubt' || next.state.known.commit !== 'yes') return next;
  const effect = { do: 'continue-source' } as const;
  const back: HandoverState = { ...next.state, outcome: null, phase: 'continuing', outstanding: effect };
  return { state: back, effect, halt: false };
};

const withKnown = (state: HandoverState, known: Partial<HandoverState['known']>): HandoverState => ({
  ...state,
  known: { ...state.known, ...known },
});

export const MUTATIONS: readonly Mutation[] = [
  {
    name: 'a line is not synced',
    laws: { recordsAreSynced: false },
    budgets: { crash: 1, net: 2, resolve: 1 },
  },
  { name: 'a claim keeps nobody out', laws: { claimIsExclusive: false, claimIsChecked: false }, budgets: {} },
  {
    name: 'a journal that is void is acted on',
    laws: { claimIsChecked: false },
    budgets: { crash: 2, forget: 1, resolve: 1 },
  },
  {
    name: 'the lock of a journal holds nobody',
    laws: { lockHolds: false },
    budgets: { resolve: 1, cancel: 1 },
  },
  {
    name: 'the destination is started before COMMIT is written',
    laws: { startFollowsCommit: false },
    budgets: { crash: 1, net: 1, late: 1 },
  },
  { name: 'silence is taken for death', laws: { silenceIsSilence: false }, budgets: { crash: 1, net: 1 } },
  { name: 'the source is continued after COMMIT', laws: { rule: continuesAfterCommit }, budgets: { net: 2 } },
  { name: 'no guardian starts', laws: { guardianStarts: false }, budgets: { crash: 1 } },
  {
    name: 'a stop that was not ours is taken back',
    laws: { rule: believing((state) => ({ ...withKnown(state, { stopIsOurs: true, guestEnded: null }) })) },
    budgets: { other: 1, cancel: 1 },
  },
  {
    name: 'a torn line is not there',
    laws: { tornCounts: false },
    budgets: { crash: 1, late: 1, other: 1, resolve: 1 },
  },
  { name: 'a halted step is not waited for', laws: { haltedIsAwaited: false }, budgets: { cancel: 1 } },
  { name: 'the last look is skipped', laws: { lastLookIsTaken: false }, budgets: { other: 1 } },
  { name: 'the look after COMMIT is skipped', laws: { lookAfterIsTaken: false }, budgets: { net: 1 } },
  {
    name: 'the end of the destination is not waited for',
    laws: { endIsAwaited: false },
    budgets: { cancel: 1, net: 1 },
  },
  {
    name: 'a start whose answer is lost counts as refused',
    laws: { lostStartIsLost: false },
    budgets: { net: 1 },
  },
  {
    name: 'a source that holds its stream counts as released',
    laws: { sourceIsReleased: false },
    budgets: { crash: 1, late: 1 },
  },
  { name: 'other clients are not heard', laws: { othersAreHeard: false }, budgets: { other: 1 } },
  {
    name: 'a copy that is left behind counts as the newest',
    laws: { rule: believing((state) => withKnown(state, { continued: false })) },
    budgets: { crash: 2, net: 1, cancel: 1 },
  },
  {
    name: 'a refusal after a lost start counts as proof',
    laws: {
      rule: believing((state, fact) =>
        fact.fact === 'failed' && fact.refused && state.phase === 'starting'
          ? { ...state, starts: 1, live: true }
          : state,
      ),
    },
    budgets: { net: 2, lock: 1, other: 1 },
  },
  {
    name: 'the journal says COMMIT, and nobody minds',
    laws: { rule: believing((state) => (state.live ? state : withKnown(state, { commit: 'no' }))) },
    budgets: { crash: 1, other: 1 },
  },
  {
    name: 'a proof alone makes a dead source’s copy the newest',
    laws: {
      rule: believing((state, fact) =>
        fact.fact === 'done' && state.outstanding?.do === 'prove'
          ? withKnown(state, { prepared: true })
          : state,
      ),
    },
    budgets: { crash: 1, late: 1, cancel: 1 },
  },
  {
    name: 'a dead source is taken for one that stands',
    laws: {
      rule: seeing((fact) =>
        fact.fact === 'done' && fact.ends?.source === 'gone'
          ? { ...fact, ends: { ...fact.ends, source: 'stopped' } }
          : fact,
      ),
    },
    budgets: { crash: 1, cancel: 1 },
  },
];
