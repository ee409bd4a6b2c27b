/** What `--dry-run` finds: both daemons answer, and libvirt itself would begin this migration. */

import { LibvirtMigration, MIGRATE } from '../../libvirt/index.ts';
import { openEnds } from './ends.ts';
import type { MigrateDomainOptions } from './options.ts';

export interface DomainCheck {
  readonly name: string;
  readonly uuid: string;
  readonly libvirtVersion: string;
  readonly memoryBytes: number;
  readonly gate: 'ack' | 'pacing';
}

/**
 * Begin, taken back at once: nothing has happened to the VM. Errors: those of openEnds; LIBVIRT_CALL says
 * libvirt's reason.
 */
export async function checkDomain(options: MigrateDomainOptions, signal: AbortSignal): Promise<DomainCheck> {
  const ends = await openEnds(options, signal);
  try {
    const { source, destination, domain } = ends;
    const migration = new LibvirtMigration(source, destination, {
      domain,
      flags: options.unsafe ? MIGRATE.UNSAFE : 0,
    });
    await migration.begin();
    await migration.undo();
    const { libvirtVersion, memoryBytes, ackGate } = ends;
    const { name, uuid } = domain;
    return { name, uuid, libvirtVersion, memoryBytes, gate: ackGate ? 'ack' : 'pacing' };
  } finally {
    await ends.close();
  }
}
