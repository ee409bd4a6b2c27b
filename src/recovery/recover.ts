/**
 * Ends a migration whose controller is gone or has failed, by the journal and by what both QEMUs answer: exactly one
 * running VM, or the operator is told which question is open. Used by the controller, the guardian and `godwit resolve`.
 * It never guesses.
 */

import { errorMessage } from '../base/index.ts';
import { type QmpExecutor, restoreSettings } from '../qmp/index.ts';
import type { JournalState } from './journal.ts';

/** `gone`: the process has ended. `silent`: it may live, but does not answer. */
export type MachineStatus =
  | { readonly state: 'answers'; readonly runState: string }
  | { readonly state: 'gone' }
  | { readonly state: 'silent'; readonly why: string };

/** One QEMU as recovery sees it. */
export interface Machine extends QmpExecutor {
  /** `patient`: for as long as the link to it may be broken. */
  status(options?: { readonly patient?: boolean }): Promise<MachineStatus>;
  /** Sends `quit` and waits until it is gone; false if it is still there after `timeoutMs`. */
  quit(timeoutMs: number): Promise<boolean>;
}

export interface Recovery {
  readonly outcome: 'completed' | 'aborted' | 'in-doubt';
  /** For the operator: what was found, what was done, what to do. */
  readonly text: string;
}

/** What recovery works on. */
interface Case {
  readonly journal: JournalState;
  readonly source: Machine;
  readonly destination: Machine;
  readonly sleepMs: (delayMs: number) => Promise<void>;
}

const QUIT_TIMEOUT_MS = 10_000;
const SETTLE_TIMEOUT_MS = 10_000;
const SETTLE_STEP_MS = 10;
/** QEMU has loaded the VM and waits for `cont`. */
const LOADED_STATES: ReadonlySet<string> = new Set(['paused', 'prelaunch']);

/** Never rejects: what could not be finished is in doubt. */
export async function recover(
  journal: JournalState,
  source: Machine,
  destination: Machine,
  sleepMs: (delayMs: number) => Promise<void>,
): Promise<Recovery> {
  if (journal.end && journal.end.outcome !== 'in-doubt') {
    return { outcome: journal.end.outcome, text: journal.end.text };
  }
  const facts: Case = { journal, source, destination, sleepMs };
  try {
    if (journal.postCopy && !journal.prepared) return await amidPostCopy(facts);
    return await (journal.committed ? finishForward(facts) : backToSource(facts));
  } catch (error) {
    return inDoubt(`recovery was interrupted (${errorMessage(error)}). Run "godwit resolve" again`);
  }
}

/** Before COMMIT no `cont` was ever sent to the destination, so it cannot have run: remove it, then the source goes on. */
async function backToSource(facts: Case): Promise<Recovery> {
  const { journal, source, destination } = facts;
  const [here, there] = [await source.status(), await destination.status()];
  if (there.state === 'answers' && there.runState === 'running') {
    return inDoubt('the destination VM runs although godwit did not start it; the source was left as it is');
  }
  const loaded = there.state === 'answers' && LOADED_STATES.has(there.runState);
  // The source died between PONG and COMMIT: the destination holds the only copy, and it is whole.
  if (here.state === 'gone' && journal.prepared && loaded && !journal.guestEnded) return finishForward(facts);
  // Nobody told it to start, and it does not start by itself; without the whole VM nobody else will either.
  if (there.state === 'silent' && journal.begin.destination.reach?.host != null && !journal.prepared) {
    const left = `the destination QEMU cannot be reached (${there.why}); it never ran: end it there`;
    return resumeSource(facts, left);
  }
  if (!(await destination.quit(QUIT_TIMEOUT_MS))) {
    return inDoubt(
      'the destination QEMU does not end; the source was left as it is. End the destination process, then run "godwit resolve" again',
    );
  }
  return resumeSource(facts, 'the move was undone before its commit point');
}

/** Once QEMU has begun its post-copy the VM's memory is at both ends, and only QEMU can join it. */
async function amidPostCopy(facts: Case): Promise<Recovery> {
  const { journal, source, destination } = facts;
  const here = await source.status();
  const info = here.state === 'answers' ? await source.execute('query-migrate') : {};
  const { status = 'none' } = info as { status?: string };
  if (status === 'completed') return finishForward(facts);
  const begun = here.state !== 'answers' || status.startsWith('postcopy') || journal.committed;
  if (!begun) return backToSource(facts);
  const there = await destination.status();
  const ends = `source ${described(here, status)}, destination ${described(there)}`;
  return inDoubt(
    `post-copy was under way (${ends}): the VM's memory is at both ends. End neither and continue neither; QEMU joins them again with migrate-recover at the destination and migrate with resume at the source`,
  );
}

function described(machine: MachineStatus, migration = ''): string {
  if (machine.state !== 'answers') return machine.state;
  return migration === '' ? `"${machine.runState}"` : `"${machine.runState}", its migration "${migration}"`;
}

async function finishForward(facts: Case): Promise<Recovery> {
  const { journal, source, destination } = facts;
  const status = await settled(facts);
  if (status.state === 'gone') {
    return inDoubt(
      'the destination QEMU is gone after the commit point, so it may have run and written to its disk. Boot the VM from its disk; do not continue the paused source',
    );
  }
  if (status.state === 'silent') {
    return inDoubt(`the destination does not answer (${status.why}); it may run. Do not continue the source`);
  }
  if (status.runState !== 'running' && journal.begin.guestWasRunning) {
    try {
      await destination.execute('cont');
    } catch (error) {
      return neverRan(facts, errorMessage(error), LOADED_STATES);
    }
    const after = await destination.status({ patient: true });
    if (after.state !== 'answers') {
      return inDoubt(`the destination was started and is ${after.state} now. Do not continue the source`);
    }
    // Still loading long after it had everything: its disks cannot be opened. QEMU answers ok and does nothing.
    if (after.runState === 'inmigrate') {
      return neverRan(facts, 'it accepts "cont" and stays "inmigrate"', new Set(['inmigrate']));
    }
    if (after.runState !== 'running') {
      return inDoubt(`the destination was started but is "${after.runState}". Do not continue the source`);
    }
  }
  if (journal.begin.sourceAfter === 'quit') await source.quit(QUIT_TIMEOUT_MS);
  return {
    outcome: 'completed',
    text: 'the VM is at the destination. Never continue the source: it would be a second copy on the same disks',
  };
}

/**
 * `cont` was refused or changed nothing (a locked disk, for instance): the source may go on if the destination is still in
 * one of `untouched`, the states that prove that it never ran.
 */
async function neverRan(facts: Case, why: string, untouched: ReadonlySet<string>): Promise<Recovery> {
  const { destination } = facts;
  // An accepted `cont` may still take effect; while a QEMU is "inmigrate", `stop` takes it back (qmp_stop, autostart).
  await destination.execute('stop');
  const status = await destination.status();
  if (status.state !== 'answers' || !untouched.has(status.runState)) {
    return inDoubt(
      `the destination refused to start (${why}) and its state is unknown. Do not continue the source`,
    );
  }
  if (!(await destination.quit(QUIT_TIMEOUT_MS))) {
    return inDoubt(`the destination refused to start (${why}) and does not end. End its process first`);
  }
  return resumeSource(facts, `the destination never ran (${why})`);
}

/** States that `cont` cannot lead out of, or that the guest itself brought about. */
const GUEST_MADE_STATES: ReadonlySet<string> = new Set([
  'shutdown',
  'guest-panicked',
  'internal-error',
  'io-error',
  'suspended',
  'watchdog',
]);

async function resumeSource({ journal, source, sleepMs }: Case, why: string): Promise<Recovery> {
  const status = await source.status();
  const guest = journal.guestEnded?.text ?? null;
  if (status.state === 'gone') {
    return guest === null
      ? inDoubt(`${why}; but the source QEMU is gone too: no copy is left. Boot the VM from its disk`)
      : { outcome: 'aborted', text: `${guest}; its QEMU has ended with it` };
  }
  if (status.state === 'silent') return inDoubt(`${why}; but the source does not answer (${status.why})`);
  await cancelMigration(source, sleepMs);
  // A setting that cannot be put back must not keep the VM stopped.
  if (journal.settings) await restoreSettings(source, journal.settings).catch(() => undefined);
  // QEMU may have resumed the VM by itself when its connection went.
  const now = await runStateOf(source);
  if (GUEST_MADE_STATES.has(now)) {
    return { outcome: 'aborted', text: `${why}; the source VM is as its guest left it ("${now}")` };
  }
  if (!journal.begin.guestWasRunning) {
    return { outcome: 'aborted', text: `${why}; the source VM is paused, as it was` };
  }
  if (now !== 'running') await source.execute('cont');
  const after = await runStateOf(source);
  if (after !== 'running') {
    return inDoubt(
      `${why}; the source did not start again, it is "${after}". Look at it with query-status and "cont" it`,
    );
  }
  return { outcome: 'aborted', text: `${why}; the source VM runs` };
}

async function runStateOf(machine: Machine): Promise<string> {
  const status = await machine.status();
  return status.state === 'answers' ? status.runState : status.state;
}

/** QEMU refuses `cont` and new settings while a migration is still ending: cancel it and wait until it has ended. */
async function cancelMigration(source: Machine, sleepMs: (delayMs: number) => Promise<void>): Promise<void> {
  const ended = new Set(['none', 'completed', 'failed', 'cancelled', undefined]);
  for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += SETTLE_STEP_MS) {
    const info = (await source.execute('query-migrate')) as { status?: string };
    if (ended.has(info.status)) return;
    if (info.status !== 'cancelling') await source.execute('migrate_cancel').catch(() => undefined);
    await sleepMs(SETTLE_STEP_MS);
  }
}

/** Waits while the destination is still loading. */
async function settled({ destination, sleepMs }: Case): Promise<MachineStatus> {
  let status = await destination.status({ patient: true });
  for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += SETTLE_STEP_MS) {
    if (status.state !== 'answers' || status.runState !== 'inmigrate') return status;
    await sleepMs(SETTLE_STEP_MS);
    status = await destination.status();
  }
  return status;
}

function inDoubt(text: string): Recovery {
  return { outcome: 'in-doubt', text };
}
