export { costOf, DOWNTIME_WEIGHT, regretOf, type Stop } from './regret.ts';
export { simulate, timeLimitMsOf } from './run.ts';
export { groupBy, type SummaryRow, summarize } from './summary.ts';
export {
  checkTask,
  type LoadTrace,
  replayCommand,
  runTask,
  type SimulationTask,
  type TaskResult,
} from './task.ts';
export {
  type Bounds,
  type ClairvoyantStop,
  SIMULATION_DEFAULTS,
  type SimulationOptions,
  type SimulationResult,
} from './types.ts';
