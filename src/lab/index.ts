export { type CalibrationCell, calibrationCells } from './calibration/cells.ts';
export {
  CALIBRATION_SCHEMA,
  type CalibrationRecord,
  type CalibrationSummary,
  errorsOf,
  parseCalibration,
  summarizeCalibration,
} from './calibration/records.ts';
export { runCalibrationCell } from './calibration/run-cell.ts';
export * from './guest/index.ts';
export { boundsOf } from './judge/bounds.ts';
export {
  type Check,
  type Checked,
  type CheckResult,
  diskCheck,
  heartbeatCheck,
  memoryCheck,
  oneRunningCheck,
  type Place,
  runChecks,
} from './judge/checks.ts';
export { lastHeartbeat } from './judge/heartbeats.ts';
export {
  isMemoryIntensive,
  MEMORY_INTENSIVE_RATIO,
  measureDirtyRate,
} from './judge/measure.ts';
export {
  compareRam,
  damagePage,
} from './judge/oracle.ts';
export { buildLinuxImage } from './linux/image.ts';
export { LINUX_PROGRAMS } from './linux/programs.ts';
export { withMachineLock } from './machine/machine-lock.ts';
export { type LabPair, openPair, type PairOptions, verifyGuest } from './machine/pair.ts';
export { pinSelf } from './machine/pinning.ts';
export {
  type LabProcess,
  makeRunFolder,
  removeRunFolder,
  runCommand,
  startProcess,
} from './machine/processes.ts';
export {
  findQemu,
  startVm,
  type Vm,
  type VmOptions,
} from './machine/vm.ts';
export { hostsOnOwnCores } from './network/cores.ts';
export {
  type Network,
  openNetwork,
} from './network/network.ts';
export { measureProfile } from './profile/profile.ts';
export { reportHtml } from './report/html.ts';
export { buildReport, type LabReport, type ReportRow, resultsCsv, type Spread } from './report/report.ts';
export { type RunRecord, readResults } from './report/results.ts';
export {
  type Baseline,
  type BaselineProgress,
  DOWNTIME_LIMIT_MS_DEFAULT,
  runBaseline,
} from './run/baseline.ts';
export type { CellStage } from './run/cell.ts';
export { runContest } from './run/contest.ts';
export type {
  Migrator,
  MigratorRequest,
} from './run/contestant.ts';
export { gatewayMigrator, gatewayMigratorFor } from './run/gateway-migrator.ts';
export { observeMove } from './run/move.ts';
export {
  type Cell,
  cellsOf,
  defaultTimeLimitMs,
  type Plan,
  parsePlan,
} from './run/plan.ts';
export { type PlanEvent, planCostMsMax, runPlan } from './run/run-plan.ts';
