/**
 * The transitions of the engine: a fact in, the next state and commands out. The only caller of strategies.
 * Not responsible for carrying anything out, nor for knowing the time: `nowMs` is milliseconds since
 * `migrate`, like every time in facts.
 */

import { assert, formatMs, unreachable } from '../base/index.ts';
import { queuedBytes } from '../strategy/index.ts';
import {
  type Decision,
  ITERATIONS_KEPT,
  type Outlook,
  PASSES_KEPT,
  type PassSeen,
  type Snapshot,
} from '../vm/index.ts';
import { applyVerdict, carryOut, explain } from './apply.ts';
import { type GateQuestion, judgeStop, waitingBytesMax } from './gate.ts';
import type { EngineState } from './state.ts';
import { linkOf, predictionOf, type Turn } from './turn.ts';
import type { Command, Fact } from './types.ts';

export interface Step {
  readonly state: EngineState;
  readonly commands: readonly Command[];
}

/** When the third pass begins, the second is over. */
const PASSES_TO_SEE = 3;

/** QEMU counts as stalled after this many iteration lengths without a sync or a page. */
const STALL_LENGTHS = 5;
/** Where an iteration is a pass it has no length, but a stall still needs a scale. */
const STALL_LENGTH_MS_MIN = 1000;

export function step(before: EngineState, fact: Fact, nowMs: number): Step {
  const turn: Turn = { state: before, commands: [], nowMs };
  switch (fact.kind) {
    case 'tick':
      onTick(turn, fact.snapshot);
      break;
    case 'pass':
      onPass(turn, fact.snapshot);
      break;
    case 'iteration':
      onIteration(turn, fact);
      break;
    case 'stopped':
      onStopped(turn, fact.invited, fact.snapshot);
      break;
    case 'operator-switch':
      if (before.phase === 'running') turn.state = { ...before, operatorSwitch: true };
      atDeadlines(turn);
      break;
    case 'operator-cancel':
      onCancel(turn);
      break;
    case 'operator-limits':
      if (before.phase === 'running') turn.state = { ...before, limits: fact.limits };
      break;
    default:
      unreachable(fact, 'step');
  }
  return { state: turn.state, commands: turn.commands };
}

function observe(turn: Turn, snapshot: Snapshot): void {
  const { state } = turn;
  const mark = snapshot.passes + snapshot.sentPages + snapshot.dirtyPages;
  const moved = mark !== state.progressMark;
  turn.state = {
    ...state,
    snapshot,
    linkMeasuredBytesPerSecond: snapshot.bandwidthBytesPerSecond ?? state.linkMeasuredBytesPerSecond,
    progressMs: moved ? turn.nowMs : state.progressMs,
    progressMark: mark,
  };
}

function outlookOf(turn: Turn): Outlook | null {
  const { state } = turn;
  const prediction = predictionOf(state);
  if (state.snapshot === null || prediction === null) return null;
  return {
    nowMs: turn.nowMs,
    pageCount: state.options.pageCount,
    limits: state.limits,
    history: state.history,
    snapshot: state.snapshot,
    linkBytesPerSecond: linkOf(state),
    pipeline: {
      handOverPagesPerSecond: state.snapshot.handOverPagesPerSecond ?? Number.POSITIVE_INFINITY,
      endsPagesPerSecond: state.snapshot.slowerEndPagesPerSecond ?? Number.POSITIVE_INFINITY,
      zeroPagesPerSecond: state.snapshot.zeroPagesPerSecond ?? Number.POSITIVE_INFINITY,
    },
    passes: passesWithRunning(turn),
    downtimePredictedMs: prediction.downtimeMs,
  };
}

function onTick(turn: Turn, snapshot: Snapshot): void {
  observe(turn, snapshot);
  if (turn.state.phase !== 'running') return;
  if (atDeadlines(turn)) return;
  const outlook = outlookOf(turn);
  const { strategy, parameters } = turn.state.options;
  const verdict = outlook && strategy.atTick(outlook, turn.state.memory, parameters);
  if (verdict !== null) applyVerdict(turn, verdict);
  if (turn.state.phase !== 'running') return;
  // A reconnect may lose a `pass` fact, and the first pass must still end.
  if (turn.state.iteration.index === 0 && snapshot.firstPassDone) endIteration(turn);
  atGate(turn);
  explainStall(turn);
}

function onPass(turn: Turn, snapshot: Snapshot): void {
  observe(turn, snapshot);
  const arrivals = arrivalsAt(turn, snapshot);
  turn.state = {
    ...turn.state,
    progressMs: turn.nowMs,
    arrivals,
    passes: passesSeen(turn, snapshot, arrivals),
  };
  const { phase, iteration } = turn.state;
  if (phase !== 'running') return;
  const due =
    iteration.lengthMs === null
      ? snapshot.firstPassDone
      : turn.nowMs - iteration.startMs >= iteration.lengthMs;
  if (due) endIteration(turn);
  atGate(turn);
}

function arrivalsAt({ state, nowMs }: Turn, snapshot: Snapshot): EngineState['arrivals'] {
  const { arrivedPages } = snapshot;
  if (arrivedPages === undefined) return null;
  const before = state.arrivals;
  const last =
    before === null || nowMs <= before.syncMs
      ? null
      : { pages: arrivedPages - before.arrivedPages, durationMs: nowMs - before.syncMs };
  return { arrivedPages, syncMs: nowMs, last };
}

function passesWithRunning({ state, nowMs }: Turn): readonly PassSeen[] {
  const { snapshot, arrivals, passes } = state;
  if (snapshot?.firstPassDone !== true || arrivals === null) return passes;
  const arrivedPages = (snapshot.arrivedPages ?? 0) - arrivals.arrivedPages;
  const pages = arrivedPages + (snapshot.sourceRemainingPages ?? 0);
  return [...passes, { startMs: arrivals.syncMs, durationMs: nowMs - arrivals.syncMs, pages }];
}

/** QEMU's first pass is none of them: what it holds says nothing about writing. */
function passesSeen(
  { state }: Turn,
  snapshot: Snapshot,
  arrivals: EngineState['arrivals'],
): readonly PassSeen[] {
  const last = arrivals?.last ?? null;
  if (last === null || snapshot.passes < PASSES_TO_SEE || state.arrivals === null) return state.passes;
  return [...state.passes, { startMs: state.arrivals.syncMs, ...last }].slice(-PASSES_KEPT);
}

function endIteration(turn: Turn): void {
  if (turn.state.iteration.ending) return;
  turn.state = { ...turn.state, iteration: { ...turn.state.iteration, ending: true } };
  turn.commands.push({ kind: 'end-iteration' });
}

function onIteration(turn: Turn, fact: Extract<Fact, { kind: 'iteration' }>): void {
  observe(turn, fact.snapshot);
  const history = [...turn.state.history, fact.stats].slice(-ITERATIONS_KEPT);
  turn.state = { ...turn.state, history, iterationsTotal: turn.state.iterationsTotal + 1 };
  const outlook = outlookOf(turn);
  if (outlook === null) return;
  const { strategy, parameters } = turn.state.options;
  const lengthMs = strategy.iterationMs(outlook, parameters);
  assert(Number.isFinite(lengthMs) && lengthMs >= 0, `${strategy.name} gives an iteration a length`);
  const link = outlook.linkBytesPerSecond;
  // While a queue that takes longer than an iteration is being sent, going on is not indecision.
  const draining =
    link !== null && queuedBytes(outlook) > (link * Math.max(lengthMs, fact.stats.durationMs)) / 1000;
  const idle = fact.stats.index > 0 && !(draining && strategy.absorb);
  turn.state = {
    ...turn.state,
    iterationsIdle: turn.state.iterationsIdle + (idle ? 1 : 0),
    iteration: {
      index: fact.stats.index + 1,
      startMs: turn.nowMs,
      passesAtStart: fact.snapshot.passes,
      lengthMs,
      ending: false,
    },
  };
  if (turn.state.phase !== 'running') return;
  applyVerdict(turn, strategy.atIteration(outlook, turn.state.memory, parameters));
  if (turn.state.phase === 'running') atDeadlines(turn);
  if (turn.state.phase === 'running') atGate(turn);
}

/** The operator's switch, the timeout, the cap on iterations: running -> stopping | ended. */
function atDeadlines(turn: Turn): boolean {
  const { state, nowMs } = turn;
  if (state.phase !== 'running') return false;
  if (state.operatorSwitch) {
    const text = 'the operator asked to switch now';
    carryOut(turn, { action: 'stop-and-copy', rule: 'operator', text }, { waivesLimit: true });
    return true;
  }
  const { timeoutMs } = state.limits;
  if (timeoutMs !== null && nowMs >= timeoutMs) {
    return followOnTimeout(
      turn,
      'timeout',
      'TIMEOUT',
      `${formatMs(nowMs)} since migrate, timeout ${formatMs(timeoutMs)}`,
    );
  }
  const most = state.options.parameters['iterationsMax'];
  if (most !== undefined && state.iterationsIdle + stallsOf(turn) >= most) {
    const text = `no decision after ${state.iterationsIdle} iterations with the queue drained, at most ${most}`;
    return followOnTimeout(turn, 'iterations-max', 'ITERATIONS_EXHAUSTED', text);
  }
  return false;
}

const AT_TIMEOUT = { switch: 'stop-and-copy', 'post-copy': 'post-copy', cancel: 'abort' } as const;

function followOnTimeout(turn: Turn, rule: string, code: string, text: string): boolean {
  const last = turn.state.explained === null ? '' : `; last: ${turn.state.explained.text}`;
  const action = AT_TIMEOUT[turn.state.limits.onTimeout];
  const decision: Decision = { action, rule, text: `${text}${last}` };
  carryOut(turn, decision, { code, waivesLimit: true });
  return true;
}

/**
 * A stalled QEMU ends no iterations. Its silence counts instead, so that the cap on iterations is reached all
 * the same.
 */
function stallsOf(turn: Turn): number {
  const { iteration, progressMs } = turn.state;
  if (iteration.lengthMs === null) return 0;
  return Math.floor((turn.nowMs - progressMs) / stallMs(iteration.lengthMs));
}

function stallMs(lengthMs: number): number {
  return STALL_LENGTHS * Math.max(lengthMs, STALL_LENGTH_MS_MIN);
}

function explainStall(turn: Turn): void {
  const { state, nowMs } = turn;
  const silentMs = nowMs - state.progressMs;
  if (silentMs < stallMs(state.iteration.lengthMs ?? 0)) return;
  const text = `neither a dirty sync nor a page for ${formatMs(silentMs)}: QEMU stalls, what is known grows old`;
  explain(turn, { action: 'continue', rule: 'stalled', text });
}

/** A smaller change of what may wait is not worth a command. */
const GATE_CHANGE = 0.05;

function atGate(turn: Turn): void {
  const { state } = turn;
  if (state.options.ackGate) return;
  const own = state.options.strategy.mechanism === 'gateway';
  const bytes = own ? waitingBytesMax(gateOf(state)) : Number.POSITIVE_INFINITY;
  const before = state.waitingBytesMax;
  if (before !== null && (bytes === before || Math.abs(bytes - before) < GATE_CHANGE * before)) return;
  turn.state = { ...state, waitingBytesMax: bytes };
  turn.commands.push({ kind: 'waiting-max', bytes });
}

function gateOf(state: EngineState): GateQuestion {
  const { limits, options } = state;
  return { limits, linkBytesPerSecond: linkOf(state), fixedDowntimeMs: options.fixedDowntimeMs };
}

/**
 * Running | stopping -> stopped. Running -> ended when QEMU stopped by itself and what waits does not fit the
 * limit: the source goes on.
 */
function onStopped(turn: Turn, invited: boolean, snapshot: Snapshot): void {
  observe(turn, snapshot);
  if (turn.state.phase === 'ended') return;
  if (invited || turn.state.phase !== 'running' || turn.state.options.strategy.mechanism !== 'gateway') {
    turn.state = { ...turn.state, phase: 'stopped' };
    return;
  }
  const { fits, why } = judgeStop(gateOf(turn.state), snapshot);
  const text = `QEMU stopped the VM by itself: ${why}`;
  if (fits) {
    carryOut(turn, { action: 'stop-and-copy', rule: 'uninvited', text }, { waivesLimit: true });
    turn.state = { ...turn.state, phase: 'stopped' };
  } else carryOut(turn, { action: 'abort', rule: 'gate-lost', text }, { code: 'GATE_LOST' });
}

/**
 * Any phase -> ended. Whether COMMIT is already out only the controller knows; it then ignores the command.
 */
function onCancel(turn: Turn): void {
  if (turn.state.phase === 'ended') return;
  const decision: Decision = { action: 'abort', rule: 'operator', text: 'the operator cancelled' };
  carryOut(turn, decision, { code: 'CANCELLED' });
}
