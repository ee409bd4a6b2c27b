/**
 * Parsers of what comes before the first page: configuration, early sections, RAM's block list.
 * Each reads from a Cursor and leaves `short` set when bytes are missing. Not responsible for
 * state between elements (decoder.ts).
 */

import { errorMessage, type GodwitError } from '../base/index.ts';
import { makeRamLayout, PAGE_SIZE_BYTES, type RamLayout } from '../vm/index.ts';
import { streamError } from './errors.ts';
import type { Configuration, PassThroughReason, SectionHeader, StreamLimits } from './types.ts';
import { type Cursor, FLAG, readBe32, TAG } from './wire.ts';

/** A form that is legal but not ours to read. */
export class Unreadable {
  readonly reason: PassThroughReason;
  readonly detail: string;

  constructor(reason: PassThroughReason, detail: string) {
    this.reason = reason;
    this.detail = detail;
  }
}

const CAPABILITIES_MAX = 64;

/** Section 3. The cursor stands behind the tag. */
export function parseConfiguration(cursor: Cursor, streamOffset: number): Configuration | Unreadable {
  const length = cursor.be32();
  if (!cursor.short && (length === 0 || length > 255)) {
    throw streamError('STREAM_CONFIGURATION', `machine type of ${length} bytes`, streamOffset, 3);
  }
  const machine = cursor.text(length);
  let capabilities: string[] | null = null;
  let targetPageBits: number | null = null;
  let uuid: string | null = null;
  while (!cursor.short && cursor.peek() === TAG.subsection) {
    cursor.skip(1);
    const name = cursor.text8();
    cursor.be32();
    if (cursor.short) break;
    if (name === 'configuration/target-page-bits') {
      targetPageBits = cursor.be32();
      if (!cursor.short && targetPageBits !== 12) {
        return new Unreadable('page-size', `2^${targetPageBits} bytes`);
      }
    } else if (name === 'configuration/capabilities') {
      const count = cursor.be32();
      if (count > CAPABILITIES_MAX) {
        throw streamError('STREAM_CONFIGURATION', `${count} capabilities`, streamOffset, 3);
      }
      capabilities = [];
      for (let index = 0; index < count && !cursor.short; index++) capabilities.push(cursor.text8());
    } else if (name === 'configuration/uuid') {
      uuid = Buffer.from(cursor.text(16), 'latin1').toString('hex');
    } else {
      return new Unreadable('configuration', name);
    }
  }
  return { machine, capabilities, targetPageBits, uuid };
}

/** Section 1. START and FULL; the cursor stands behind the tag. */
export function parseSectionHeader(cursor: Cursor): SectionHeader {
  const sectionId = cursor.be32();
  const name = cursor.text8();
  const instance = cursor.be32();
  const version = cursor.be32();
  return { sectionId, name, instance, version };
}

/** Section 5, early FULL sections. Moves behind the data of the one kind that is known. */
export function skipEarlySection(
  cursor: Cursor,
  header: SectionHeader,
  limits: StreamLimits,
): Unreadable | null {
  if (!header.name.endsWith('/virtio-mem-device-early') || header.version !== 1) {
    return new Unreadable('early-section', header.name);
  }
  cursor.skip(8);
  const regionBytes = cursor.be64();
  const blockBytes = cursor.be64();
  cursor.skip(4 + 8);
  if (cursor.short) return null;
  const bitmapBytes = Math.ceil(Math.ceil(regionBytes / blockBytes) / 64) * 8;
  if (!(bitmapBytes <= limits.setupBytes))
    return new Unreadable('early-section', `${header.name}, ${regionBytes} bytes`);
  cursor.skip(bitmapBytes);
  return null;
}

export interface BlockList {
  readonly layout: RamLayout;
  readonly extras: readonly (number | null)[];
}

/**
 * Section 5, RAM's START. The cursor stands behind the section header; moves behind EOS. Null
 * when bytes are missing.
 */
export function parseBlockList(
  cursor: Cursor,
  limits: StreamLimits,
  streamOffset: number,
): BlockList | Unreadable | null {
  const refuse = (message: string) => streamError('STREAM_RAM_SETUP', message, streamOffset, 5);
  const total = takeRecord(cursor, FLAG.memSize);
  if (cursor.short) return null;
  if (total === null) return new Unreadable('mem-size', 'RAM starts with another record');
  const blocks: { id: string; sizeBytes: number }[] = [];
  const extras: (number | null)[] = [];
  for (let left = total; left > 0; ) {
    if (blocks.length === limits.ramBlocks) {
      throw streamError('STREAM_LIMIT', `more than ${limits.ramBlocks} RAM blocks`, streamOffset, 11);
    }
    const id = cursor.text8();
    const sizeBytes = cursor.be64();
    if (cursor.short) return null;
    if (id.length === 0 || sizeBytes > left || sizeBytes % PAGE_SIZE_BYTES !== 0) {
      throw refuse(`RAM block "${id}" of ${sizeBytes} bytes does not fit the total of ${total}`);
    }
    left -= sizeBytes;
    blocks.push({ id, sizeBytes });
    extras.push(takeExtra(cursor, left === 0));
    if (cursor.short) return null;
  }
  if (takeRecord(cursor, FLAG.hook) !== null) return new Unreadable('rdma', 'hook in the block list');
  takeRecord(cursor, FLAG.multifdFlush);
  const eos = takeRecord(cursor, FLAG.eos);
  if (cursor.short) return null;
  if (eos !== 0) return new Unreadable('mem-size', 'the block list does not end in EOS');
  return { layout: layoutOf(blocks, refuse), extras };
}

/** The offset part of the next be64 if its flags are `flag`; otherwise null, without moving. */
function takeRecord(cursor: Cursor, flag: number): number | null {
  const at = cursor.at;
  const value = cursor.be64();
  if (cursor.short) return null;
  // Flags come from the low word itself: above 2^53 the double has lost them.
  if ((readBe32(cursor.bytes, at + 4) & 0xfff) === flag) return value - flag;
  cursor.at = at;
  return null;
}

/**
 * A be64 is there exactly where neither another block (its first byte is not 0) nor a
 * record (flags) can follow.
 */
function takeExtra(cursor: Cursor, last: boolean): number | null {
  if (!last) return cursor.peek() === 0 ? cursor.be64() : null;
  return takeRecord(cursor, 0);
}

function layoutOf(
  blocks: { id: string; sizeBytes: number }[],
  refuse: (message: string) => GodwitError,
): RamLayout {
  try {
    return makeRamLayout(blocks);
  } catch (error) {
    throw refuse(errorMessage(error));
  }
}
