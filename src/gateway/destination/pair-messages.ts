/**
 * What the two gateways say in the link's opaque fields: facts of the stream, and all that follows
 * RAM. Hostile until read.
 */

import { z } from 'zod';
import { GodwitError } from '../../base/index.ts';
import type { StateTail } from '../output/types.ts';

const streamFacts = z.object({
  kind: z.literal('stream'),
  sectionId: z.int().min(0).max(0xffff_ffff),
  footers: z.boolean(),
});
export type StreamFacts = z.infer<typeof streamFacts>;

/** Errors: PAIR_MESSAGE. */
export function parseStreamFacts(text: string): StreamFacts {
  try {
    return streamFacts.parse(JSON.parse(text));
  } catch (cause) {
    throw new GodwitError('PAIR_MESSAGE', 'the other gateway described its stream in words that are none', {
      cause,
    });
  }
}

const progress = z.object({ kind: z.literal('applied'), pages: z.int().min(0) });

/** From the destination, every few milliseconds: how many pages its QEMU has loaded since the beginning. */
export function encodeApplied(pages: number): string {
  return JSON.stringify({ kind: 'applied', pages });
}

/** null: something else, which a newer far side may say. */
export function parseApplied(text: string): number | null {
  try {
    return progress.safeParse(JSON.parse(text)).data?.pages ?? null;
  } catch {
    return null;
  }
}

/** Three parts, each behind a be32 length: late commands, device sections, end of stream. */
export function encodeTail(tail: StateTail): Uint8Array {
  const parts = [Buffer.concat(tail.lateCommands), tail.devices, tail.end];
  return Buffer.concat(parts.flatMap((part) => [be32(part.length), part]));
}

/** Errors: PAIR_MESSAGE. */
export function decodeTail(bytes: Buffer): StateTail {
  const parts: Buffer[] = [];
  let at = 0;
  while (parts.length < 3) {
    const length = at + 4 <= bytes.length ? bytes.readUInt32BE(at) : Number.POSITIVE_INFINITY;
    if (at + 4 + length > bytes.length) throw badTail(bytes.length);
    parts.push(bytes.subarray(at + 4, at + 4 + length));
    at += 4 + length;
  }
  if (at !== bytes.length) throw badTail(bytes.length);
  return { lateCommands: [parts[0]!], devices: parts[1]!, end: parts[2]! };
}

/** The batches' CRCs, summed: lanes come in any order. */
export function hexChecksum(sum: number): string {
  return sum.toString(16).padStart(16, '0');
}

function badTail(sizeBytes: number): GodwitError {
  return new GodwitError('PAIR_MESSAGE', `the machine state of ${sizeBytes} bytes is not in three parts`);
}

function be32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}
