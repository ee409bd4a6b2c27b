/**
 * What the decoder reports, as values. Not responsible for how they look on
 * the wire (wire.ts, docs/format/qemu-stream.md).
 */

import type { RamLayout } from '../vm/index.ts';

/** Why the rest of a stream is handed on untouched. */
export type PassThroughReason =
  /** QEMU encrypts the stream itself. */
  | 'tls'
  | 'multifd'
  /** Target pages are not 4 KiB. */
  | 'page-size'
  /** A configuration subsection that we do not know, hence cannot measure. */
  | 'configuration'
  | 'command'
  | 'postcopy'
  | 'colo'
  | 'background-snapshot'
  | 'ram-version'
  /** The block list fits no form we know. */
  | 'mem-size'
  | 'mapped-ram'
  /** A FULL section during setup whose fields we do not know. */
  | 'early-section'
  /** An iterating section other than RAM and dirty bitmaps: VFIO, block migration. */
  | 'iterable'
  | 'xbzrle'
  | 'rdma'
  | 'compress'
  | 'ram-record';

export interface PassThrough {
  readonly reason: PassThroughReason;
  /** Name or number of what was not understood. */
  readonly detail: string;
  /** Offset of the first byte that is handed on. */
  readonly streamOffset: number;
  /**
   * A RAM section that is open at that byte, and the index of the block that a CONTINUE there would refer to.
   */
  readonly openRamSection: 'part' | 'end' | null;
  readonly lastBlock: number | null;
}

export interface Configuration {
  readonly machine: string;
  /** Null when the stream does not say; QEMU names only capabilities that both ends must share. */
  readonly capabilities: readonly string[] | null;
  readonly targetPageBits: number | null;
  readonly uuid: string | null;
}

export interface RamSetup {
  readonly sectionId: number;
  readonly instance: number;
  readonly version: number;
  readonly layout: RamLayout;
  /**
   * The be64 that follows a block's length with x-ignore-shared (guest address) or post-copy and
   * huge pages (page size).
   */
  readonly blockExtras: readonly (number | null)[];
  /** Every section ends in a footer. */
  readonly footers: boolean;
}

export interface SectionHeader {
  readonly sectionId: number;
  readonly name: string;
  readonly instance: number;
  readonly version: number;
}

export interface DeviceSection extends SectionHeader {
  /** Header, data and footer. */
  readonly sizeBytes: number;
}

export interface Tail {
  /**
   * All device sections, without the EOF byte. Whoever sends only this has not yet let the destination go.
   */
  readonly devices: Uint8Array;
  /** EOF byte and description: the commit. */
  readonly end: Uint8Array;
  /** Null when description and bytes do not agree; such a tail is reported by end() only. */
  readonly sections: readonly DeviceSection[] | null;
}

export type RamSectionKind = 'start' | 'part' | 'end';

/**
 * Where decoded records go. `raw` holds the exact bytes of the element and belongs to the sink; `buffer` and
 * the bytes of onPassThroughBytes are valid only during the call.
 */
export interface StreamSink {
  onHeader(raw: Uint8Array): void;
  onConfiguration(configuration: Configuration, raw: Uint8Array): void;
  onCommand(command: number, payload: Uint8Array, raw: Uint8Array): void;
  /** `raw` is the whole START section, footer included. onRamSectionEnd('start') follows. */
  onRamSetup(setup: RamSetup, raw: Uint8Array): void;
  /** A device section before the first page (virtio-mem): forward it before any page. */
  onEarlySection(section: SectionHeader, raw: Uint8Array): void;
  /**
   * A section of dirty bitmaps, at any time before the tail: in order among
   * themselves, anywhere against pages.
   */
  onDirtyBitmaps(raw: Uint8Array): void;
  /** 4,096 bytes at buffer[offset]. */
  onPage(pageIndex: number, buffer: Uint8Array, offset: number): void;
  onZeroPage(pageIndex: number): void;
  onRamSectionEnd(kind: RamSectionKind): void;
  /**
   * Once, when EOF is found; the decoder is then at its end. Where the sections do not prove it,
   * only end() reports it.
   */
  onTail(tail: Tail): void;
  /** Once, before the first call of onPassThroughBytes. */
  onPassThrough(passThrough: PassThrough): void;
  onPassThroughBytes(bytes: Uint8Array): void;
}

export interface StreamLimits {
  readonly ramBlocks: number;
  readonly setupBytes: number;
  readonly tailBytes: number;
  readonly descriptionBytes: number;
  readonly tailCandidates: number;
}

export const STREAM_LIMITS: StreamLimits = {
  ramBlocks: 4096,
  setupBytes: 4 * 1024 * 1024,
  tailBytes: 64 * 1024 * 1024,
  descriptionBytes: 16 * 1024 * 1024,
  tailCandidates: 1024,
};

export interface DecoderOptions {
  /** Enabled ones of query-migrate-capabilities, or unknown (a file). */
  readonly capabilities: ReadonlySet<string> | 'unknown';
  readonly limits?: Partial<StreamLimits>;
}

export type DecoderPhase =
  | 'header'
  | 'configuration'
  | 'sections'
  | 'records'
  | 'footer'
  | 'tail'
  | 'end'
  | 'pass-through';

export interface DecoderFacts {
  readonly phase: DecoderPhase;
  /** Bytes accepted so far: all those written, but for the start of an unfinished element. */
  readonly bytesDecoded: number;
  readonly bytesWritten: number;
  readonly pages: number;
  readonly zeroPages: number;
  readonly ramSections: number;
  readonly multifdFlushes: number;
  readonly tailBytes: number;
}

/** `complete` is null where the stream cannot tell: passed through, or neither footers nor description. */
export interface StreamEnd {
  readonly complete: boolean | null;
  readonly reason: string | null;
}
