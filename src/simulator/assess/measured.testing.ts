/**
 * Traces of synthetic guests as if they had been measured, and what the simulator predicts for them. Test
 * code only.
 */

import { MIB } from '../../base/index.ts';
import { makeGuest, type Recording, readRecording, synthesize, TraceWriter } from '../../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { type PredictedMove, predictMoves } from './predicted-moves.ts';

export const MEMORY_BYTES = 64 * MIB;

export function traceOf(rateBytesPerSecond: number, durationMs: number): Recording {
  const pageCount = MEMORY_BYTES / PAGE_SIZE_BYTES;
  const guest = makeGuest(pageCount, {
    workload: 'uniform',
    hotBytes: 24 * MIB,
    fillBytes: 40 * MIB,
    rateBytesPerSecond,
  });
  const chunks: Uint8Array[] = [];
  const write = (bytes: Uint8Array) => void chunks.push(bytes);
  synthesize(guest, new TraceWriter({ pageCount, source: 'synthetic', write }), durationMs, 250);
  return readRecording(chunks);
}

export const PREDICT_OPTIONS = {
  strategies: ['precopy', 'mp', 'adaptive', 'postcopy'],
  downtimeLimitMs: 300,
  roundTripMs: 0.2,
  arrangement: 'single',
} as const;

export function movesOf(
  trace: Recording,
  linksBytesPerSecond: readonly number[],
  strategies: readonly string[] = PREDICT_OPTIONS.strategies,
): PredictedMove[] {
  return [...predictMoves({ trace, cost: null }, { ...PREDICT_OPTIONS, strategies, linksBytesPerSecond })];
}
