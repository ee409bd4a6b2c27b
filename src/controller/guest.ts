/** What the source's guest, or another client of its QEMU, does while it is being moved. Pure. */

import type { QmpEvent } from '../qmp/index.ts';

/**
 * Why nothing is left to move; null for every other event. A reset does not end a guest, so the migration
 * goes on.
 */
export function guestEnd(event: QmpEvent): string | null {
  if (event.name === 'GUEST_PANICKED') return 'the guest panicked during the migration';
  if (event.name !== 'SHUTDOWN') return null;
  if (event.data['guest'] === true) return 'the guest shut down during the migration';
  return `the source QEMU was told to end during the migration (${String(event.data['reason'])})`;
}

/** Run states in which QEMU itself stopped the VM, for the final stage of its migration. */
const FINAL_STAGE: ReadonlySet<string> = new Set(['finish-migrate', 'postmigrate']);

/** Who stopped the VM, by the run state after a STOP that we did not ask for: null is QEMU's migration. */
export function foreignStop(runState: string): string | null {
  if (FINAL_STAGE.has(runState)) return null;
  return runState === 'paused'
    ? 'another client stopped the VM during the migration'
    : `the VM stopped during the migration and is "${runState}"`;
}
