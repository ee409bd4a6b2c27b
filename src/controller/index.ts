export { defaultWorkers } from './arrangement.ts';
export { ASSESS_DURATION_MS, assess } from './assess/assess.ts';
export type { Assessment, AssessOptions } from './assess/types.ts';
export { askMigration, findMigration, statusOfAll } from './control/client.ts';
export type { ControlRequest, MigrationStatus } from './control/messages.ts';
export { checkDomain, type DomainCheck } from './domain/check-domain.ts';
export { type ListedVm, listVms } from './domain/list.ts';
export { migrateDomain } from './domain/migrate-domain.ts';
export { INCOMING_FOLDER, type MigrateDomainOptions } from './domain/options.ts';
export type { ProgressView } from './drive.ts';
export type { MigrateHooks } from './hooks.ts';
export { migrate } from './migrate.ts';
export {
  FAR_DEFAULTS,
  type FarOptions,
  MIGRATE_DEFAULTS,
  type MigrateOptions,
  parseQmpEndpoint,
  type StartOptions,
} from './options.ts';
export { preflight } from './preflight/ends.ts';
export {
  FORCEABLE,
  type Preflight,
  type PreflightFinding,
  readForce,
  standing,
} from './preflight/preflight.ts';
export type { SettingChange } from './preflight/settings.ts';
export { type MigrationReport, REPORT_SCHEMA } from './report.ts';
export type { IterationReport } from './report-log.ts';
export { launchFindings } from './start/twin.ts';
export { MIGRATE_STEPS, type MigrateStep } from './steps.ts';
