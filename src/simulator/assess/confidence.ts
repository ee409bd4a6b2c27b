/** How far predictions for a measured guest can be trusted. Pure. */

import { median } from '../../base/index.ts';
import type { GuestFacts } from './guest-facts.ts';
import type { PredictedMove } from './predicted-moves.ts';

export type ConfidenceLevel = 'high' | 'medium' | 'low';

export interface Confidence {
  readonly level: ConfidenceLevel;
  /** How often the dirty rate was taken, and over which time. */
  readonly samples: number;
  readonly observedMs: number;
  /** (p90 - p10) of the dirty rate, over its median or a tenth of the slowest link, whichever is more. */
  readonly rateSpread: number;
  /** Greatest over least total time among replays of one prediction, less 1; null where none completed. */
  readonly predictionSpread: number | null;
  /** The longest prediction over the time observed: beyond 1 the trace was repeated. */
  readonly stretch: number | null;
}

const SAMPLES_MANY = 40;
const SAMPLES_FEW = 12;
const RATE_STEADY = 0.6;
const PREDICTION_STEADY = 0.15;
const STRETCH_MAX = 5;
/** Dirtying far below the slowest link's rate decides nothing. */
const LINK_SHARE_MATTERS = 0.1;

export function confidenceOf(guest: GuestFacts, predictions: readonly PredictedMove[]): Confidence {
  const { samples, observedMs, dirtyBytesPerSecond: rate } = guest;
  const slowest = Math.min(...predictions.map(({ linkBytesPerSecond }) => linkBytesPerSecond));
  const rateSpread = (rate.p90 - rate.p10) / Math.max(rate.median, LINK_SHARE_MATTERS * slowest);
  const ranges = predictions.flatMap(({ totalMigrationTimeMsRange: range }) =>
    range === null ? [] : [range],
  );
  const spreads = ranges.map(([least, greatest]) => greatest / least - 1);
  const predictionSpread = median(spreads);
  const stretch =
    ranges.length === 0 || observedMs <= 0 ? null : Math.max(...ranges.map(([, most]) => most)) / observedMs;
  const steady =
    rateSpread <= RATE_STEADY && (predictionSpread === null || predictionSpread <= PREDICTION_STEADY);
  const far = stretch !== null && stretch > STRETCH_MAX;
  const certain = steady && samples >= SAMPLES_MANY && !far;
  const level = certain ? 'high' : samples >= SAMPLES_FEW && (steady || !far) ? 'medium' : 'low';
  return { level, samples, observedMs, rateSpread, predictionSpread, stretch };
}
