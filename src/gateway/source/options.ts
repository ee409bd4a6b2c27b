/** What a source gateway is told, and what it tells. Types only. */

import type { Clock } from '../../base/index.ts';
import type { RamSetup } from '../../stream/index.ts';

export interface SourceGatewayOptions {
  /** Where the source QEMU connects: a unix socket in a private folder. */
  readonly listenPath: string;
  /** The file whose owner QEMU runs as (its QMP socket): the listening socket is given to that owner. */
  readonly ownerOf: string;
  readonly capabilities: ReadonlySet<string>;
  readonly clock: Clock;
  readonly memoryBytesMax: number;
  readonly absorb: boolean;
  /** Gets a dirty-page trace of the migration, piece by piece (docs/format/trace.md); null: none is wanted. */
  readonly record: ((bytes: Uint8Array) => void) | null;
  /** The strategy may use deltas against what the destination has (paired arrangement). */
  readonly deltas: boolean;
  /** The switchover-ack is in force: QEMU waits for it. Otherwise it may stop the VM at any moment, see setWaitingMax. */
  readonly ackGate: boolean;
  /** Memory for the page store that was touched before. */
  readonly readyChunk?: () => SharedArrayBuffer | null;
  /** The operator's cap on what goes over the link; null: as much as it carries. */
  readonly bandwidthBytesPerSecondMax: number | null;
}

export interface SourceGatewayEvents {
  /** The stream has begun and its layout is known. */
  onLayout(setup: RamSetup): void;
  /** All of RAM and the device sections have arrived: the VM's state is complete at this gateway. */
  onStateComplete?(): void;
  onError(error: Error): void;
}
