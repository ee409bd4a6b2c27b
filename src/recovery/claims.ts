/** Claims in a QEMU that outlived their migration: whoever should have taken them away was killed first. */

import { existsSync } from 'node:fs';
import { GodwitError } from '../base/index.ts';
import { isDomain, QmpMachine } from '../machines/index.ts';
import type { Claim } from '../qmp/index.ts';
import { hasEnded, type JournalState } from './entries.ts';
import { readJournal } from './journal.ts';
import { forgottenPathOf } from './journals.ts';

/** The journal that it names is on this host, is that of its migration, and is closed. */
export function isClaimOver({ journal, migrationId }: Claim): boolean {
  if (journal === '') return false;
  if (existsSync(forgottenPathOf(journal)) && journal.includes(migrationId)) return true;
  try {
    const state = readJournal(journal);
    return state.begin.migrationId === migrationId && hasEnded(state);
  } catch (error) {
    if (error instanceof GodwitError) return false;
    throw error;
  }
}

/** Of a migration that has ended. Best effort: an end may be gone, or be another QEMU by now. */
export async function releaseClaimsOf({ begin }: JournalState): Promise<void> {
  // libvirt lets go of a domain by itself.
  const ends = [begin.source, begin.destination];
  const machines = ends.flatMap((end) => (isDomain(end) ? [] : [new QmpMachine(end)]));
  await Promise.all(machines.map((machine) => machine.releaseClaim().catch(() => undefined)));
  await Promise.all(machines.map((machine) => machine.close()));
}
