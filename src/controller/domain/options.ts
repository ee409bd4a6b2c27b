/** What the move of a libvirt domain is told. */

import type { ReachSpec } from '../../remote/index.ts';
import type { FarOptions, MigrateOptions } from '../options.ts';

/**
 * Where libvirt's own QEMU may make its sockets, whoever it runs as (qemu.conf, AppArmor's and SELinux's
 * profiles).
 */
export const INCOMING_FOLDER = '/var/lib/libvirt/qemu';

export interface MigrateDomainOptions
  extends Pick<
    MigrateOptions,
    | 'strategy'
    | 'parameters'
    | 'limits'
    | 'bandwidthBytesPerSecondMax'
    | 'linkBytesPerSecond'
    | 'gatewayMemoryBytesMax'
    | 'stateDirectory'
    | 'askedAtMs'
    | 'onEnd'
    | 'recordPath'
  > {
  readonly sourceUri: string;
  /** A name, a UUID or an id. */
  readonly domain: string;
  readonly destination: DomainDestination;
  /** The operator answers for disks that libvirt calls unsafe (VIR_MIGRATE_UNSAFE). */
  readonly unsafe: boolean;
}

export interface DomainDestination {
  /** As the operator wrote it. */
  readonly text: string;
  /** As its own host would write it: `qemu:///system`. */
  readonly uri: string;
  /** How to reach that host; null: it is this one. */
  readonly reach: ReachSpec | null;
  /** A gateway on that host (paired), reached likewise; null: single. */
  readonly far: FarOptions | null;
  /** Where the destination's QEMU makes the socket that it listens on. */
  readonly incomingFolder: string;
}
