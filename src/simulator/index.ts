export { againstRelaxed } from './against-relaxed.ts';
export { type Advice, adviceOf } from './assess/advice.ts';
export { type Confidence, confidenceOf } from './assess/confidence.ts';
export { type GuestFacts, guestFactsOf } from './assess/guest-facts.ts';
export { type PredictedMove, type PredictOptions, predictMoves, REPLAYS } from './assess/predicted-moves.ts';
export { grainOf } from './grain.ts';
export { sweepPage } from './page.ts';
export { axesOf, type Picture, picture } from './picture.ts';
export {
  COMMITTED_PROFILES,
  committedProfile,
  PROFILE_SCHEMA,
  type Profile,
  parseProfile,
} from './pipeline/profile.ts';
export { variantsOf } from './ranges.ts';
export { appendRecord, recordsCsv, resumeRecords } from './results.ts';
export { simulate } from './run.ts';
export { groupBy, SUMMARY_FIGURES, type SummaryRow, summarize } from './summary.ts';
export { sweep } from './sweep.ts';
export {
  checkTask,
  replayCommand,
  runTask,
  type SimulationTask,
  type TaskResult,
} from './task.ts';
export type { Sample } from './timeline.ts';
export { oracleOfTrace } from './trace-oracle.ts';
export { tracePlot } from './trace-plot.ts';
export {
  SIMULATION_DEFAULTS,
  type SimulationOptions,
  type SimulationResult,
} from './types.ts';
