export { type Advice, adviceOf } from './assess/advice.ts';
export { type Confidence, confidenceOf } from './assess/confidence.ts';
export { type GuestFacts, guestFactsOf, type Measurement } from './assess/guest-facts.ts';
export { type PredictedMove, type PredictOptions, predictMoves, REPLAYS } from './assess/predicted-moves.ts';
export { sweepPage } from './page.ts';
export { axesOf, type Picture, type PictureAxes, picture } from './picture.ts';
export { type PlanVariant, variantsOf } from './ranges.ts';
export { appendRecord, recordsCsv, resumeRecords, type SweepRecord, type SweepStamp } from './results.ts';
export { simulate } from './run.ts';
export { groupBy, type SummaryRow, summarize } from './summary.ts';
export { type SweepOptions, sweep } from './sweep.ts';
export {
  checkTask,
  type LoadTrace,
  replayCommand,
  runTask,
  type SimulationTask,
  type TaskResult,
} from './task.ts';
export type { Sample } from './timeline.ts';
export { oracleOfTrace, type TraceOracle } from './trace-oracle.ts';
export { tracePlot } from './trace-plot.ts';
export {
  type Bounds,
  type ClairvoyantStop,
  SIMULATION_DEFAULTS,
  type SimulationOptions,
  type SimulationResult,
} from './types.ts';
