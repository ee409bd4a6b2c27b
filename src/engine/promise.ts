/** When a prediction of the downtime counts as kept: one measure for real runs and simulated ones. Pure. */

/** Measured over predicted downtime. */
export const PREDICTION_RATIO_MIN = 0.67;
export const PREDICTION_RATIO_MAX = 1.5;

/**
 * A downtime within the agreed limit keeps every promise, however far it is from the prediction. Beyond the
 * limit the ratio counts.
 */
export function keepsPrediction(downtimeMs: number, predictedMs: number, agreedMs: number): boolean {
  const ratio = downtimeMs / predictedMs;
  return downtimeMs <= agreedMs || (ratio >= PREDICTION_RATIO_MIN && ratio <= PREDICTION_RATIO_MAX);
}
