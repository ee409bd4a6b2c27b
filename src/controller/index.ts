export { defaultWorkers } from './arrangement.ts';
export { ASSESS_DURATION_MS, assess } from './assess/assess.ts';
export type { AssessHooks, Assessment, AssessOptions, AssessView } from './assess/types.ts';
export { askMigration, findMigration, statusOfAll } from './control/client.ts';
export type { ControlRequest, MigrationStatus } from './control/messages.ts';
export { Drive, type Ending, type ProgressView } from './drive.ts';
export type { MigrateHooks } from './hooks.ts';
export { migrate } from './migrate.ts';
export {
  FAR_DEFAULTS,
  type FarOptions,
  FIXED_DOWNTIME_MS,
  MIGRATE_DEFAULTS,
  type MigrateOptions,
  parseQmpEndpoint,
} from './options.ts';
export { preflight } from './preflight/ends.ts';
export {
  FORCEABLE,
  type Gate,
  type GatewayMemory,
  type Preflight,
  type PreflightCode,
  type PreflightFinding,
  readForce,
  refuseUnready,
  standing,
} from './preflight/preflight.ts';
export type { SettingChange } from './preflight/settings.ts';
export { type IterationReport, type MigrationReport, REPORT_SCHEMA } from './report.ts';
export { MIGRATE_STEPS, type MigrateStep } from './steps.ts';
