export type { LabErrorCode } from './errors.ts';
export * from './guest/index.ts';
export { type Bounds, boundsOf, type KnownGuest } from './judge/bounds.ts';
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
} from './judge/checks.ts';
export { type Heartbeat, heartbeatOf, heartbeatsOf, lastHeartbeat } from './judge/heartbeats.ts';
export {
  type DirtyRate,
  isMemoryIntensive,
  MEMORY_INTENSIVE_RATIO,
  measureDirtyRate,
} from './judge/measure.ts';
export {
  compareRam,
  damagePage,
  type HostRamBlock,
  type RamComparison,
  type RamDifference,
  ramBlocks,
} from './judge/oracle.ts';
export { type MachineLockOptions, withMachineLock } from './machine/machine-lock.ts';
export { type LabPair, openPair, type PairOptions, verifyGuest } from './machine/pair.ts';
export { type CorePlan, corePlan, hostsOnOwnCores, pinSelf } from './machine/pinning.ts';
export {
  type LabProcess,
  makeRunFolder,
  removeRunFolder,
  runCommand,
  startProcess,
} from './machine/processes.ts';
export { joinSerial, type SerialLine, type SerialPort } from './machine/serial.ts';
export {
  type Accelerator,
  findQemu,
  LARGE_MEMORY_BYTES,
  type MachineOptions,
  SMALL_MEMORY_BYTES,
  startVm,
  type Vm,
  type VmOptions,
} from './machine/vm.ts';
export type { Endpoint } from './network/endpoint.ts';
export {
  type Host,
  type LinkCounters,
  type Network,
  type NetworkOptions,
  openNetwork,
} from './network/network.ts';
export { reportHtml } from './report/html.ts';
export { buildReport, type LabReport, type ReportRow, resultsCsv, type Spread } from './report/report.ts';
export { type Provenance, type RunRecord, readResults } from './report/results.ts';
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
} from './run/baseline.ts';
export type { CellStage } from './run/cell.ts';
export { type ContestOptions, runContest } from './run/contest.ts';
export {
  isBaseline,
  type Migrator,
  type MigratorIteration,
  type MigratorReport,
  type MigratorRequest,
} from './run/contestant.ts';
export { type GatewayMigratorOptions, gatewayMigrator, gatewayMigratorFor } from './run/gateway-migrator.ts';
export { type MoveMeasure, type MoveObserver, observeMove, type Pair } from './run/move.ts';
export {
  type Cell,
  cellsOf,
  defaultTimeLimitMs,
  type Expectation,
  type Plan,
  type PlanStrategy,
  type PlanWorkload,
  parsePlan,
} from './run/plan.ts';
export { type PlanEvent, planCostMsMax, RELAXED, type RunPlanOptions, runPlan } from './run/run-plan.ts';
