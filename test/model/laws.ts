/**
 * What the world around the machine keeps to. Each mutation of mutations.ts breaks one of these; nothing else
 * reads them.
 */

import type { StepRule } from './machines.ts';

export interface Laws {
  /** What COMMIT announces: `cont` by QMP, or libvirt's Finish3, which ends a domain that it cannot start. */
  readonly commitBy: 'qmp' | 'libvirt';
  /** `quit`: the source ends once the VM has arrived, as libvirt's Confirm3 has it. */
  readonly sourceAfter: 'keep' | 'quit';
  /** Which QEMU each migration moves the VM away from. */
  readonly sources: readonly [number, number];
  /** A claim is taken by one migration only. */
  readonly claimIsExclusive: boolean;
  /** A QEMU that does not carry the migration's claim is not acted on, and its journal is void. */
  readonly claimIsChecked: boolean;
  /** One party at a time works on a journal. */
  readonly lockHolds: boolean;
  /** A line that was written survives a crash of its machine. */
  readonly recordsAreSynced: boolean;
  /** A torn line counts as a step that may have happened. */
  readonly tornCounts: boolean;
  readonly guardianStarts: boolean;
  /** A step that lost its race is waited for before anything is undone. */
  readonly haltedIsAwaited: boolean;
  /** Only a process that has surely ended is gone. */
  readonly silenceIsSilence: boolean;
  /** A destination is gone when it has been seen gone. */
  readonly endIsAwaited: boolean;
  /** Only an end's own answer is a refusal. */
  readonly lostStartIsLost: boolean;
  /** Nothing is started before COMMIT has been written. */
  readonly startFollowsCommit: boolean;
  /** The source has let go of its stream before COMMIT. */
  readonly sourceIsReleased: boolean;
  readonly lastLookIsTaken: boolean;
  readonly lookAfterIsTaken: boolean;
  /** What events told of other clients reaches the look. */
  readonly othersAreHeard: boolean;
  readonly rule: StepRule | null;
}

export const LAWS: Laws = {
  commitBy: 'qmp',
  sourceAfter: 'keep',
  sources: [0, 0],
  claimIsExclusive: true,
  claimIsChecked: true,
  lockHolds: true,
  recordsAreSynced: true,
  tornCounts: true,
  guardianStarts: true,
  haltedIsAwaited: true,
  silenceIsSilence: true,
  endIsAwaited: true,
  lostStartIsLost: true,
  startFollowsCommit: true,
  sourceIsReleased: true,
  lastLookIsTaken: true,
  lookAfterIsTaken: true,
  othersAreHeard: true,
  rule: null,
};

export function destinationOf(migration: number): number {
  return migration + 1;
}
