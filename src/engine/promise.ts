/** When a predicted downtime counts as kept: one measure for real runs and simulated ones. Pure. */

/** Measured over predicted downtime. */
export const PREDICTION_RATIO_MIN = 0.67;
export const PREDICTION_RATIO_MAX = 1.5;

/** Beyond what was agreed to the ratio tells; within it, how far below a prediction says nothing. */
export function keepsPrediction(downtimeMs: number, predictedMs: number, agreedMs: number): boolean {
  const ratio = downtimeMs / predictedMs;
  return downtimeMs <= agreedMs || (ratio >= PREDICTION_RATIO_MIN && ratio <= PREDICTION_RATIO_MAX);
}
