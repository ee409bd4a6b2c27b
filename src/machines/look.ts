/** One look at both ends, in the handover's words. */

import type { DestinationSeen, Ends, SourceSeen } from '../handover/index.ts';
import type { Machine, MachineStatus } from './types.ts';

/** Run states that `cont` cannot lead out of, or that the guest itself brought about. */
const GUEST_MADE: ReadonlySet<string> = new Set([
  'shutdown',
  'guest-panicked',
  'internal-error',
  'io-error',
  'suspended',
  'watchdog',
]);
const SOURCE_STOPPED: ReadonlySet<string> = new Set([
  'paused',
  'prelaunch',
  'finish-migrate',
  'save-vm',
  'colo',
]);
/** QEMU has loaded the VM and waits for `cont`. */
const LOADED: ReadonlySet<string> = new Set(['paused', 'prelaunch']);
const SETTLE_STEP_MS = 10;

function sourceSeen(status: MachineStatus): SourceSeen {
  if (status.state !== 'answers') return status.state;
  const { runState } = status;
  if (runState === 'postmigrate') return 'released';
  if (GUEST_MADE.has(runState)) return 'guest-made';
  // An unknown state of a newer QEMU counts as running, so that nobody starts a second VM.
  return SOURCE_STOPPED.has(runState) ? 'stopped' : 'running';
}

function destinationSeen(status: MachineStatus): DestinationSeen {
  if (status.state === 'gone' && status.neverRan) return 'empty';
  if (status.state !== 'answers') return status.state;
  const { runState } = status;
  if (runState === 'inmigrate') return 'empty';
  if (LOADED.has(runState)) return 'loaded';
  // A guest that has shut down or crashed over there has run there.
  if (runState === 'running' || GUEST_MADE.has(runState)) return 'running';
  return 'other';
}

export interface LookOptions {
  readonly source: Machine;
  readonly destination: Machine;
  /** How long an end may be silent. */
  readonly sourceMs: number;
  readonly destinationMs: number;
  /** How long to look again while the destination is still loading. 0: look once. */
  readonly settleMs: number;
  /** Also what the source says of its migration. */
  readonly asksMigration: boolean;
  readonly touched: () => string | null;
  readonly wait: (ms: number) => Promise<void>;
}

/** Never rejects: an end that cannot be asked is silent. */
export async function look(options: LookOptions): Promise<Ends> {
  const [here, there] = await Promise.all([options.source.status(options.sourceMs), settled(options)]);
  const migration =
    options.asksMigration && here.state === 'answers'
      ? await options.source.migrationStatus().catch(() => null)
      : null;
  return {
    source: sourceSeen(here),
    destination: destinationSeen(there),
    sourceText: textOf(here),
    destinationText: textOf(there),
    // Asked last: an event comes before the answers that it may contradict.
    touched: options.touched(),
    sourceMigration: migration,
  };
}

async function settled({ destination, destinationMs, settleMs, wait }: LookOptions): Promise<MachineStatus> {
  let status = await destination.status(destinationMs);
  for (let waitedMs = 0; waitedMs < settleMs; waitedMs += SETTLE_STEP_MS) {
    if (status.state !== 'answers' || status.runState !== 'inmigrate') break;
    await wait(SETTLE_STEP_MS);
    status = await destination.status(destinationMs);
  }
  return status;
}

function textOf(status: MachineStatus): string {
  if (status.state === 'answers') return `"${status.words ?? status.runState}"`;
  return status.state === 'gone' ? 'gone' : `silent: ${status.why}`;
}
