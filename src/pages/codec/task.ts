/**
 * What a worker thread does for the codec: encode batches from shared slots, unpack batches that arrived.
 * Pure; the thread itself belongs to src/link/workers, which loads this module by its address.
 */

import { type UnpackedBatch, unpackBatch } from './decoder.ts';
import { BatchEncoder, type BatchRequest, type EncodedBatch } from './encoder.ts';
import { SlotMemory } from './slot-memory.ts';

export type CodecTask =
  | { readonly kind: 'chunk'; readonly index: number; readonly memory: SharedArrayBuffer | null }
  | { readonly kind: 'encode'; readonly request: BatchRequest; readonly output: SharedArrayBuffer | null }
  | { readonly kind: 'unpack'; readonly batch: Uint8Array };

export interface CodecInit {
  readonly slotsPerChunk: number;
}

export interface TaskResult {
  readonly value: EncodedBatch | UnpackedBatch | null;
  /** Memory that moves to the asking thread instead of being copied. */
  readonly transfer: readonly ArrayBuffer[];
}

export const codecTaskModule: string = import.meta.url;

/** Called by name, in a thread that loads this module. @public */
export function createTask(init: CodecInit): (task: CodecTask) => TaskResult {
  const memory = new SlotMemory(init.slotsPerChunk);
  const encoder = new BatchEncoder(memory);
  return (task) => {
    switch (task.kind) {
      case 'chunk':
        memory.set(task.index, task.memory);
        return { value: null, transfer: [] };
      case 'encode': {
        const value = encoder.encode(task.request, task.output);
        const { buffer } = value.bytes;
        return { value, transfer: buffer instanceof ArrayBuffer ? [buffer] : [] };
      }
      case 'unpack': {
        const { recordCount, ...parts } = unpackBatch(task.batch);
        const records = movable(parts.records, task.batch);
        const deltas = movable(parts.deltas, task.batch);
        const packed = movable(parts.packed, task.batch);
        const raw = movable(parts.raw, task.batch);
        const memory = [records, deltas, packed, raw].map(({ buffer }) => buffer as ArrayBuffer);
        return { value: { recordCount, records, deltas, packed, raw }, transfer: [...new Set(memory)] };
      }
    }
  };
}

/** Node cuts small results out of a pool, and pool memory does not move between threads. */
function movable(part: Uint8Array, batch: Uint8Array): Uint8Array {
  const own = part.buffer === batch.buffer || part.byteLength === part.buffer.byteLength;
  return own ? part : Uint8Array.from(part);
}
