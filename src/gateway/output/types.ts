/**
 * The contracts inside the live data plane: where pages go, and what a gateway tells
 * its controller. Types only.
 */

import type { Socket } from 'node:net';
import type { BatchRequest, EncodedBatch, PageStore } from '../../pages/index.ts';
import type { RamSetup, ReturnPathMessage } from '../../stream/index.ts';

/**
 * Where pages go: straight into the destination QEMU (single), or over the link to a destination gateway
 * (paired). Implementations call `onRoom` when a full output has room again.
 */
export interface PageOutput {
  /** Sent copies stay in the store, to send what changes since as deltas. */
  readonly keepsReferences: boolean;
  /** A chunk of the store's memory was taken; for outputs whose workers read slots. */
  onChunk?(chunk: number, memory: SharedArrayBuffer): void;
  /**
   * Bytes of QEMU's that belong before the pages (header, configuration, RAM's START section),
   * untouched and in order.
   */
  forward(raw: Uint8Array): void;
  /** RAM's layout is known; pages may follow. */
  open(setup: RamSetup): void;
  /**
   * Takes a sample of the link's rate. Called before every `roomPages`. Absent: the
   * output measures by itself.
   */
  measure?(): void;
  /** Pages that may be handed over now. */
  roomPages(): number;
  /** There is no room now: `onRoom` follows before long. Absent: `onRoom` comes without being asked for. */
  awaitRoom?(): void;
  /** Hands over the newest copy of `count` pages and takes their slots from the store. */
  sendPages(pages: Uint32Array, count: number, store: PageStore): void;
  /** There was room and nothing to send: what is delivered now does not measure the link. */
  starved(): void;
  /**
   * Every page has been handed over and the VM is stopped by command, so that nothing starts by itself:
   * ends RAM's section, sends the device sections and the end of the stream. Resolves when the
   * destination QEMU proved that it loaded RAM and every device (PONG) and closed its load (SHUT 0).
   * Errors: DESTINATION_REFUSED, DESTINATION_CLOSED, PREPARE_TIMEOUT.
   */
  complete(tail: StateTail): Promise<void>;
  /**
   * From here on `source`'s bytes, after `first`, and the return path's pass as they are until either
   * end closes. Absent: cannot.
   */
  passOn?(source: Socket, first: readonly Uint8Array[]): void;
  /** Takes the connection down: the destination QEMU gives up its load. */
  close(): void;
  readonly facts: OutputFacts;
}

/** All that follows RAM. */
export interface StateTail {
  /** Commands of the final stage that must not overtake a page. */
  readonly lateCommands: readonly Uint8Array[];
  readonly devices: Uint8Array;
  /** EOF byte and description. */
  readonly end: Uint8Array;
}

export interface OutputFacts {
  readonly sentBytes: number;
  readonly deliveredBytes: number;
  /** Handed over and still being encoded, at what pages cost lately. Absent: nothing is. */
  readonly pendingBytes?: number;
  readonly bandwidthBytesPerSecond: number | null;
  readonly roundTripMs: number | null;
  /**
   * What pages cost on the link lately: whole ones, and those sent as deltas. Absent or
   * null where not measured.
   */
  readonly wholePageBytes?: number;
  readonly deltaPageBytes?: number | null;
  /** Of a delta, what surrounds the changed bytes. Absent: no deltas. */
  readonly deltaRecordBytes?: number;
  /** What the far side can apply in a second. Absent or null where it does not tell. */
  readonly appliedPagesPerSecond?: number | null;
  /** Handed over and not known to be loaded by the destination QEMU. Absent where nothing tells. */
  readonly unloadedPages?: number;
  /** Absent without a link. */
  readonly link?: LinkFacts;
}

export interface LinkFacts {
  readonly connections: number;
  /** Connections that were opened again after they broke. */
  readonly reconnects: number;
  /** Sent on a new connection because the old one broke before it was known to have arrived. */
  readonly resentBytes: number;
}

export interface OutputEvents {
  onRoom(): void;
  /** The destination QEMU has loaded one more batch, or what came before the first. Absent: nobody asks. */
  onLoaded?(): void;
  /** A return-path message of the destination QEMU that is not ours: for the source QEMU. */
  onReturnPath(message: ReturnPathMessage, raw: Uint8Array): void;
  onError(error: Error): void;
}

export interface TimedBatch extends EncodedBatch {
  /** In its encoder, without the wait for it. */
  readonly encodeMs: number;
}

/** Encodes batches, here or on other threads; results may come in any order. */
export interface BatchEncoding {
  readonly encoders: number;
  /** `output`: where a large result should lie; null: no such place is free. */
  encode(request: BatchRequest, output: SharedArrayBuffer | null): Promise<TimedBatch> | TimedBatch;
  /** Where the slots lie: a chunk of the store was taken. */
  onChunk(chunk: number, memory: SharedArrayBuffer): void;
  close(): void;
}
