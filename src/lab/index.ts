export {
  BASELINES,
  type Baseline,
  type BaselineIteration,
  type BaselineOptions,
  type BaselineProgress,
  type BaselineReport,
  DOWNTIME_LIMIT_MS_DEFAULT,
  type Outcome,
  runBaseline,
} from './baseline.ts';
export { type Bounds, boundsOf, type KnownGuest } from './bounds.ts';
export type { CellStage } from './cell.ts';
export {
  type Check,
  type Checked,
  type CheckResult,
  diskCheck,
  heartbeatCheck,
  type LimitFigures,
  limitsCheck,
  memoryCheck,
  oneRunningCheck,
  type Place,
  runChecks,
  type Scene,
} from './checks.ts';
export { type ContestOptions, runContest } from './contest.ts';
export {
  isBaseline,
  type Migrator,
  type MigratorIteration,
  type MigratorReport,
  type MigratorRequest,
} from './contestant.ts';
export type { Endpoint } from './endpoint.ts';
export type { LabErrorCode } from './errors.ts';
export { type GatewayMigratorOptions, gatewayMigrator, gatewayMigratorFor } from './gateway-migrator.ts';
export * from './guest/index.ts';
export { type Heartbeat, heartbeatOf, heartbeatsOf, lastHeartbeat } from './heartbeats.ts';
export { type MachineLockOptions, withMachineLock } from './machine-lock.ts';
export { type DirtyRate, isMemoryIntensive, MEMORY_INTENSIVE_RATIO, measureDirtyRate } from './measure.ts';
export { type MoveMeasure, type MoveObserver, observeMove, type Pair } from './move.ts';
export {
  type Host,
  type LinkCounters,
  type Network,
  type NetworkOptions,
  openNetwork,
} from './network.ts';
export {
  compareRam,
  damagePage,
  type HostRamBlock,
  type RamComparison,
  type RamDifference,
  ramBlocks,
} from './oracle.ts';
export { type LabPair, openPair, type PairOptions, verifyGuest } from './pair.ts';
export { type CorePlan, corePlan, hostsOnOwnCores, pinSelf } from './pinning.ts';
export {
  type Cell,
  cellsOf,
  defaultTimeLimitMs,
  type Expectation,
  type Plan,
  type PlanStrategy,
  type PlanWorkload,
  parsePlan,
} from './plan.ts';
export { type LabProcess, makeRunFolder, removeRunFolder, runCommand, startProcess } from './processes.ts';
export { buildReport, type LabReport, type ReportRow, resultsCsv, type Spread } from './report.ts';
export { reportHtml } from './report-html.ts';
export { type Provenance, type RunRecord, readResults } from './results.ts';
export { type PlanEvent, planCostMsMax, RELAXED, type RunPlanOptions, runPlan } from './run-plan.ts';
export { joinSerial, type SerialLine, type SerialPort } from './serial.ts';
export {
  type Accelerator,
  findQemu,
  LARGE_MEMORY_BYTES,
  type MachineOptions,
  SMALL_MEMORY_BYTES,
  startVm,
  type Vm,
  type VmOptions,
} from './vm.ts';
