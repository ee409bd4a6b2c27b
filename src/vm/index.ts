export type { Arrangement } from './arrangement.ts';
export {
  makeRamLayout,
  PAGE_COUNT_MAX,
  PAGE_SIZE_BYTES,
  type RamBlock,
  type RamLayout,
  ZERO_PAGE_BYTES,
} from './ram.ts';
export { regionPagesOf } from './regions.ts';
export {
  type Decision,
  type DecisionAction,
  downtimeMsBoundOf,
  type Hold,
  type Limits,
  type Order,
} from './rules.ts';
export {
  type Backlog,
  type IterationStats,
  REWRITE_CLASSES,
  type Snapshot,
} from './statistics.ts';
export {
  ITERATIONS_KEPT,
  type Mechanism,
  type Outlook,
  PASSES_KEPT,
  type ParameterSpec,
  type ParameterValues,
  type PassSeen,
  type PipelineRates,
  type Strategy,
  type StrategyLabel,
  type Verdict,
} from './strategy.ts';
