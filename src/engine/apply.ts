/**
 * Turns a strategy's verdict (or the engine's own decision) into commands. Not responsible for when to ask.
 */

import { assert, Bitmap, formatBytes, formatMs, unreachable } from '../base/index.ts';
import { backlogBytes } from '../strategy/index.ts';
import { type Decision, downtimeMsBoundOf, type Hold, type Order, type Verdict } from '../vm/index.ts';
import { hurryMsMax } from './hurry.ts';
import { DECISIONS_KEPT, type EnginePhase } from './state.ts';
import { linkOf, predictionOf, type Turn } from './turn.ts';

/** The live view is told at once when the rule changes, and this often at most when only its numbers do. */
const EXPLAIN_EVERY_MS = 1000;

export function applyVerdict(turn: Turn, verdict: Verdict<unknown>): void {
  const { state } = turn;
  assert(verdict.decision.text.length > 0, `${state.options.strategy.name} gives a reason`);
  turn.state = { ...state, memory: verdict.memory };
  const { hold, order, closePasses = false, withholdsPass = false } = verdict;
  const isSame =
    sameHold(state.hold, hold) &&
    sameOrder(state.order, order) &&
    state.closePasses === closePasses &&
    state.withholdsPass === withholdsPass;
  if (!isSame) {
    turn.state = { ...turn.state, hold, order, closePasses, withholdsPass };
    turn.commands.push({ kind: 'set-rules', hold, order, closePasses, withholdsPass });
  }
  if (verdict.decision.action === 'continue') {
    turn.state = { ...turn.state, refusedSince: null };
    explain(turn, verdict.decision);
  } else carryOut(turn, verdict.decision, { code: 'STRATEGY_GAVE_UP' });
}

/** `isRefusal`: the strategy wants to stop, and the engine does not let it. */
export function explain(turn: Turn, decision: Decision, isRefusal = false): void {
  const { state, nowMs } = turn;
  const key = `${decision.action} ${decision.rule}`;
  const last = state.explained;
  if (
    last !== null &&
    last.key === key &&
    (last.text === decision.text || nowMs - last.atMs < EXPLAIN_EVERY_MS)
  ) {
    return;
  }
  turn.state = { ...state, explained: { atMs: nowMs, key, text: decision.text, isRefusal } };
  const downtimePredictedMs = predictionOf(state)?.downtimeMs ?? null;
  turn.commands.push({ kind: 'explain', decision, downtimePredictedMs });
}

export interface CarryOutOptions {
  /** Names an abort in the report. */
  readonly code?: string;
  /**
   * The operator has waived the downtime limit, or the VM has stopped already: a stop is carried out even if
   * the last burst does not fit the gateway's memory. QMP is answered while the gateway pushes back, so the
   * burst may take as long as it takes.
   */
  readonly waivesLimit?: boolean;
}

/** Running -> stopping for a stop or post-copy, any -> ended for an abort. */
export function carryOut(
  turn: Turn,
  decision: Decision,
  { code = 'ABORTED', waivesLimit = false }: CarryOutOptions = {},
): void {
  switch (decision.action) {
    case 'continue':
      explain(turn, decision);
      return;
    case 'stop-and-copy':
      stopAndCopy(turn, decision, waivesLimit);
      return;
    case 'throttle':
      throttle(turn, decision);
      return;
    case 'post-copy':
      record(turn, decision, null, 'stopping');
      turn.commands.push({ kind: 'post-copy', decision });
      return;
    case 'abort':
      record(turn, decision, null, 'ended');
      turn.commands.push({ kind: 'abort', code, decision });
      return;
    default:
      unreachable(decision.action, 'carryOut');
  }
}

/**
 * A pass or two may make the burst fit. Where the hot set is larger than the gateway's memory, no waiting
 * does.
 */
const ITERATIONS_REFUSED_MAX = 3;

function stopAndCopy(turn: Turn, wanted: Decision, waivesLimit: boolean): void {
  const tooLong = waivesLimit ? null : boundRefusal(turn);
  if (tooLong !== null) {
    refuse(turn, wanted, 'downtime-bound', tooLong);
    return;
  }
  const noRoom = waivesLimit || isBurstForetold(turn) ? null : memoryRefusal(turn);
  const refusedSince = turn.state.refusedSince ?? turn.state.iterationsTotal;
  const waits = promisesLimit(turn) || turn.state.iterationsTotal - refusedSince < ITERATIONS_REFUSED_MAX;
  if (noRoom !== null && waits) {
    turn.state = { ...turn.state, refusedSince };
    refuse(turn, wanted, 'memory', noRoom);
    return;
  }
  const downtimePredictedMs = predictionOf(turn.state)?.downtimeMs ?? null;
  const decision = announced(turn, wanted, downtimePredictedMs);
  record(turn, decision, null, 'stopping');
  turn.commands.push({ kind: 'stop-and-copy', decision, downtimePredictedMs });
}

function refuse(turn: Turn, wanted: Decision, rule: string, text: string): void {
  if (turn.state.explained?.isRefusal !== true) record(turn, wanted, text, turn.state.phase);
  explain(turn, { action: 'continue', rule, text }, true);
}

function promisesLimit({ state }: Turn): boolean {
  return state.options.strategy.promisesDowntimeLimit || state.limits.downtimeMsBound === 'limit';
}

/** Why a stop would be too long for the operator; null: it is not, or nobody bounds it. */
function boundRefusal({ state }: Turn): string | null {
  const boundMs = downtimeMsBoundOf(state.limits);
  if (boundMs === Number.POSITIVE_INFINITY) return null;
  const predictedMs = predictionOf(state)?.downtimeMs ?? null;
  const asked = state.limits.downtimeMsBound === 'limit' ? '--strict' : '--max-downtime';
  const bound = `${asked} allows ${formatMs(boundMs)}`;
  if (predictedMs === null) return `nobody knows how long a stop would take, and ${bound}`;
  return predictedMs <= boundMs ? null : `a stop now: ${formatMs(predictedMs)} down, and ${bound}`;
}

/** A stop so many times as long as the limit is said to be. */
const LONG_STOP_LIMITS = 10;

function announced({ state }: Turn, decision: Decision, predictedMs: number | null): Decision {
  const { downtimeMsMax } = state.limits;
  if (predictedMs === null || predictedMs <= LONG_STOP_LIMITS * downtimeMsMax) return decision;
  const times = `${Math.round(predictedMs / downtimeMsMax)} x the limit of ${formatMs(downtimeMsMax)}`;
  const text = `the VM is going to stand still for ${formatMs(predictedMs)}, ${times} (--max-downtime bounds it)`;
  return { ...decision, text: `${text}; ${decision.text}` };
}

/**
 * Where QEMU takes long to hand over what is dirty, another pass brings the same burst again, and its time is
 * in the prediction that the strategy promises.
 */
function isBurstForetold(turn: Turn): boolean {
  const { snapshot } = turn.state;
  return snapshot !== null && !promisesLimit(turn) && hurryMsMax(snapshot) === 0;
}

/**
 * Why a stop is refused; null: it is not. What QEMU hands over after the stop must fit the gateway's memory
 * or cross the link within the limit. Otherwise the gateway would push back on a QEMU in its last stage. For
 * a strategy that promises its own prediction, the burst may take as long as what waits already takes, and
 * the refusal lasts a few iterations only, because its prediction has counted the burst.
 */
function memoryRefusal(turn: Turn): string | null {
  const { state } = turn;
  const prediction = predictionOf(state);
  const link = linkOf(state);
  if (state.snapshot === null || prediction === null) return null;
  const freeBytes = state.snapshot.memoryBytesMax - state.snapshot.memoryBytes;
  if (prediction.burstBytes <= freeBytes) return null;
  const burst = `the last burst (${formatBytes(prediction.burstBytes)}) does not fit the ${formatBytes(Math.max(0, freeBytes))} of gateway memory left`;
  if (link === null) return `${burst}, and the link rate is unknown`;
  const waitingMs = (backlogBytes(state.snapshot) * 1000) / link;
  const limitMs = promisesLimit(turn)
    ? state.limits.downtimeMsMax
    : Math.max(state.limits.downtimeMsMax, waitingMs);
  const drainMs = (prediction.burstBytes * 1000) / link;
  if (drainMs <= limitMs) return null;
  return `${burst} and takes ${formatMs(drainMs)} on the link, limit ${formatMs(limitMs)}`;
}

function throttle(turn: Turn, decision: Decision): void {
  const share = Math.min(0.99, Math.max(0, decision.throttle ?? 0));
  if (share === turn.state.throttleShare) {
    explain(turn, decision);
    return;
  }
  record(turn, decision, null, turn.state.phase);
  turn.state = { ...turn.state, throttleShare: share };
  turn.commands.push({ kind: 'throttle', share, decision });
}

function record(turn: Turn, decision: Decision, refused: string | null, phase: EnginePhase): void {
  const { state } = turn;
  const downtimePredictedMs = predictionOf(state)?.downtimeMs ?? null;
  const entry = Object.freeze({ atMs: turn.nowMs, decision, downtimePredictedMs, refused });
  turn.state = { ...state, phase, decisions: [...state.decisions, entry].slice(-DECISIONS_KEPT) };
}

function sameHold(left: Hold | null, right: Hold): boolean {
  return left !== null && same(left, right);
}

function sameOrder(left: Order | null, right: Order): boolean {
  return left !== null && same(left, right);
}

/**
 * Holds and orders are flat values of numbers, bitmaps and byte arrays: comparing them field by field is
 * enough.
 */
function same(left: Hold | Order, right: Hold | Order): boolean {
  if (left === right) return true;
  if (left.kind !== right.kind) return false;
  const names = Object.keys(right);
  if (names.length !== Object.keys(left).length) return false;
  return names.every((name) => sameField(Reflect.get(left, name), Reflect.get(right, name)));
}

function sameField(left: unknown, right: unknown): boolean {
  if (left instanceof Bitmap && right instanceof Bitmap) {
    return left.sizeBits === right.sizeBits && sameWords(left.words, right.words);
  }
  if (left instanceof Uint8Array && right instanceof Uint8Array) return sameWords(left, right);
  return left === right;
}

function sameWords(left: Uint32Array | Uint8Array, right: Uint32Array | Uint8Array): boolean {
  return left.length === right.length && left.every((word, index) => word === right[index]);
}
