/**
 * What is wrong after a fault, from what was seen from outside. Pure. It knows no kind: what a fault itself
 * brings about comes as an allowance. Not responsible for looking (evidence.ts).
 */

import type { Ended } from './command.ts';
import type { Allowance, End, Fault } from './types.ts';
import { type Look, runs, type Seen } from './watch.ts';

export const COUNTERS = ['lost', 'doubled', 'wrongExit', 'leftBehind', 'unresolved'] as const;
export type Counter = (typeof COUNTERS)[number];

export interface Violation {
  readonly counter: Counter;
  readonly text: string;
}

export interface Resolved {
  /** `list`: without a name. `closed`: without one, when all was done that can be. */
  readonly of: string;
  /** null: it hangs. */
  readonly ended: Ended | null;
}

export interface Evidence {
  readonly fault: Fault;
  readonly allows: Allowance;
  readonly wasPaused: boolean;
  /** null: it hangs. */
  readonly ended: Ended | null;
  readonly mayEndBySignal: boolean;
  readonly others: readonly { readonly to: End; readonly ended: Ended | null }[];
  readonly killed: ReadonlySet<End>;
  readonly mustNotRun: ReadonlySet<End>;
  /** When the commands had ended. */
  readonly first: Look;
  readonly resolved: readonly Resolved[];
  /** When everybody had: the fault mended, the operator done. */
  readonly last: Look;
  readonly overlaps: readonly string[];
  /** What --on-end was told, in order; empty: nothing, or not of one migration alone. */
  readonly told: readonly string[];
  /** The VM was left at its source and moved once more; null: not tried. */
  readonly again: { readonly ended: Ended | null } | null;
  /** What is wrong with the memory of the copy that is left; null: it was not checked. */
  readonly memory: string | null;
  /** null: the VM is not at its source, or its source does not answer. */
  readonly settingsRestored: boolean | null;
  /** What only the kind itself could see. */
  readonly complaints: readonly Violation[];
  /** Folders, sockets and processes of godwit. */
  readonly left: readonly string[];
}

const FAILED = 1;
/** Refused before anything was looked at. */
const USAGE = 2;
const IN_DOUBT = 3;
const NOT_MOVED: readonly (number | null)[] = [FAILED, USAGE, 129, 130, 143];
/** Up to here nobody may say that the VM has arrived. */
const SEEN_RUNNING: readonly (string | null)[] = ['running', 'end'];
/** Of a text that leaves the operator with something to do. */
const TELLS = /\b(boot|continue|cont|start|end|resolve|joins?)\b/i;

export function judge(evidence: Evidence): Violation[] {
  return [
    ...doubled(evidence),
    ...lost(evidence),
    ...wrongExit(evidence),
    ...leftBehind(evidence),
    ...unresolved(evidence),
    ...evidence.complaints,
  ];
}

function running(look: Look): End[] {
  return (Object.keys(look) as End[]).filter((end) => runs(look[end]));
}

/** Somebody could continue it: it holds a whole VM, as far as its state shows. */
function isThere(seen: Seen | undefined): boolean {
  return seen !== undefined && !['gone', 'inmigrate'].includes(seen.state);
}

function doubled({ first, last, overlaps, allows, mustNotRun }: Evidence): Violation[] {
  const found: string[] = [];
  for (const [when, look] of [
    ['after the command', first],
    ['in the end', last],
  ] as const) {
    const ends = running(look);
    if (ends.length > 1) found.push(`${when} ${ends.join(' and ')} run`);
  }
  const second = running(last).filter((end) => mustNotRun.has(end));
  if (second.length > 0) found.push(`${second.join(' and ')} runs beside the VM that was moved anew`);
  if (!allows.overlap) found.push(...overlaps);
  return found.map((text) => ({ counter: 'doubled', text }));
}

function lost(evidence: Evidence): Violation[] {
  const { last, memory, killed, allows, wasPaused, mustNotRun } = evidence;
  const violations: Violation[] = [];
  // A VM whose memory is at both ends stands still at the first page that it misses.
  const isSplit = allows.split === true && isTold(evidence);
  if (memory !== null && !isSplit) violations.push({ counter: 'lost', text: memory });
  if (running(last).length > 0 || isTold(evidence)) return violations;
  if (allows.stopped || wasPaused) {
    const left = (Object.keys(last) as End[]).some((end) => !mustNotRun.has(end) && isThere(last[end]));
    if (!left) violations.push({ counter: 'lost', text: `no copy is left: ${shown(last)}` });
  } else if (killed.size === 0) {
    violations.push({ counter: 'lost', text: `the VM runs nowhere: ${shown(last)}` });
  } else {
    violations.push({ counter: 'lost', text: `the VM runs nowhere and nobody is told: ${shown(last)}` });
  }
  return violations;
}

/** The VM had arrived when its QEMU was killed. */
function hadArrived({ killed, fault }: Evidence): boolean {
  return killed.has('destination') && SEEN_RUNNING.includes(fault.step);
}

/** The last word is "in doubt", and says what to do; or the VM crashed where it had arrived. */
function isTold(evidence: Evidence): boolean {
  const { ended, resolved, killed, allows } = evidence;
  if (ended?.code === 0 && hadArrived(evidence)) return true;
  const isReason = killed.size > 0 || allows.damaged === true || allows.split === true;
  const words = resolved.length > 0 ? resolved.map((one) => one.ended) : [ended];
  return isReason && words.some((one) => one?.code === IN_DOUBT && TELLS.test(one.out + one.err));
}

function wrongExit(evidence: Evidence): Violation[] {
  const { ended, others, first, mayEndBySignal } = evidence;
  if (ended === null) return [];
  const texts = [...claims(evidence, ended, 'destination', mayEndBySignal)];
  for (const other of others) {
    // One that was refused before it touched anything says nothing of the VM: the other has it.
    if (other.ended !== null && !isRefusal(other.ended))
      texts.push(...claims(evidence, other.ended, other.to, false));
  }
  const told = evidence.told.at(-1) ?? null;
  if (told !== null) texts.push(...toldWrongly(evidence, told));
  return texts.map((text) => ({ counter: 'wrongExit', text: `${text}: ${shown(first)}` }));
}

/** The operator's own command is told what the exit code says, and by whoever ended the migration. */
function toldWrongly({ last, again }: Evidence, told: string): string[] {
  const isAtSource = runs(last.source) || again !== null;
  if (told === 'completed' && isAtSource)
    return ['--on-end was told "completed", but the VM is at the source'];
  if (told === 'aborted' && runs(last.destination))
    return ['--on-end was told "aborted", but the VM is at the destination'];
  return [];
}

function claims(evidence: Evidence, ended: Ended, to: End, mayEndBySignal: boolean): string[] {
  const { allows, first, last, others, wasPaused } = evidence;
  const { code, signal } = ended;
  if (code === null) return mayEndBySignal ? [] : [`it ended by ${signal}`];
  // Those that came later moved it on.
  const look = others.length > 0 ? last : first;
  const mayStand = allows.stopped === true || wasPaused;
  const isAt = (end: End) => runs(look[end]) || (mayStand && isThere(look[end]));
  const movedElsewhere = [{ to: 'destination', ended: evidence.ended }, ...others].some(
    (one) => one.to !== to && one.ended?.code === 0,
  );
  if (code === 0) {
    if (allows.noCommit) return ['exit 0, although somebody else acted on a stopped VM before COMMIT'];
    return isAt(to) || hadArrived(evidence) || movedElsewhere
      ? []
      : [`exit 0, but the VM is not at the ${to}`];
  }
  if (NOT_MOVED.includes(code)) {
    if (runs(look[to])) return [`exit ${code}, but the VM runs at the ${to}`];
    if (movedElsewhere || isAt('source')) return [];
    return [`exit ${code}, but the VM is not at the source`];
  }
  if (code !== IN_DOUBT) return [`exit ${code}: ${lastLine(ended)}`];
  return allows.doubt ? [] : [`exit 3, but everybody can be asked: ${lastLine(ended)}`];
}

function leftBehind(evidence: Evidence): Violation[] {
  const { left, settingsRestored, last, ended, allows, killed } = evidence;
  const texts = [...left];
  // What a damaged journal held, nobody knows any more.
  if (settingsRestored === false && !allows.damaged) texts.push('settings of the source were not put back');
  const isRefused = ended !== null && isRefusal(ended);
  const sourceHasIt = runs(last.source) || evidence.wasPaused;
  const stays =
    last.destination !== undefined && last.destination.state !== 'gone' && !killed.has('destination');
  const mustGo = ended !== null && NOT_MOVED.includes(ended.code) && sourceHasIt && !isRefused;
  if (stays && mustGo && !allows.farStays && !runs(last.destination)) {
    texts.push(`the destination QEMU lives, it is "${last.destination?.state}"`);
  }
  return texts.map((text) => ({ counter: 'leftBehind', text }));
}

function unresolved(evidence: Evidence): Violation[] {
  const { ended, others, resolved, allows, killed, last, again } = evidence;
  const texts: string[] = [];
  if (ended === null) texts.push('the command hangs');
  for (const { to, ended: other } of others) {
    if (other === null) texts.push(`the command that moves to the ${to} hangs`);
  }
  const lists = resolved.filter(({ of }) => of === 'list');
  if (allows.damaged && ended?.code === null && lists[0]?.ended?.code === 0) {
    texts.push('the damaged journal of an unfinished migration is not listed');
  }
  const isOpen = lists.at(-1)?.ended?.code === IN_DOUBT;
  const isReason = killed.size > 0 || allows.damaged || allows.strayJournal || allows.split;
  if (isOpen && !isReason) texts.push(`a migration stays unfinished: ${shown(last)}`);
  const closed = resolved.find(({ of }) => of === 'closed')?.ended;
  if (closed != null && closed.code !== 0) texts.push(`a migration can never be closed: ${lastLine(closed)}`);
  const hanging = resolved.filter((one) => one.ended === null);
  texts.push(...hanging.map(({ of }) => `resolve ${of} hangs`));
  if (again !== null && again.ended?.code !== 0) {
    const why = again.ended === null ? 'it hangs' : lastLine(again.ended);
    texts.push(`the VM cannot be moved again: ${why}`);
  }
  return texts.map((text) => ({ counter: 'unresolved', text }));
}

/** Not a report of a migration, but an error before there was one. */
function isRefusal({ code, out }: Ended): boolean {
  return (code === FAILED || code === USAGE) && out.includes('"error":{');
}

export function shown(look: Look): string {
  const ends = Object.entries(look) as [End, Seen][];
  return ends.map(([end, { state, beats }]) => `${end} ${state}${beats ? ', beats' : ''}`).join('; ');
}

export function lastLine({ out, err }: Ended): string {
  const report = out.trim().split('\n').at(-1) ?? '';
  const failure = /"failure":(\{[^}]*\})/.exec(report)?.[1] ?? '';
  return (failure || report || err.trim().split('\n').slice(0, 3).join(' | ')).slice(0, 400);
}
