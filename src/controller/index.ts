export { defaultWorkers } from './arrangement.ts';
export {
  ASSESS_DURATION_MS,
  type AssessHooks,
  type Assessment,
  type AssessOptions,
  type AssessView,
  assess,
} from './assess.ts';
export { askMigration, findMigration, statusOfAll } from './control-client.ts';
export type { ControlRequest, MigrationStatus } from './control-messages.ts';
export { Drive, type Ending, type ProgressView } from './drive.ts';
export { preflight } from './ends.ts';
export { parseDataAddress } from './far-side.ts';
export {
  foldJournal,
  Journal,
  type JournalEntry,
  type JournalState,
  journalPathOf,
  listJournals,
  readJournal,
  stateDirectory,
} from './journal.ts';
export { QmpMachine } from './machine.ts';
export { type MigrateHooks, migrate } from './migrate.ts';
export {
  FAR_DEFAULTS,
  type FarOptions,
  FIXED_DOWNTIME_MS,
  LOAD_TIMEOUT_MS,
  MIGRATE_DEFAULTS,
  type MigrateOptions,
  parseQmpEndpoint,
} from './options.ts';
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
} from './preflight.ts';
export { isAlive, processIdentity, qemuIdentity } from './process-identity.ts';
export type { ReachSpec } from './reach.ts';
export { type ListenerReach, listenerName, sayEnded } from './reach-listener.ts';
export { loadTls, type TlsFiles } from './reach-tls.ts';
export { type ReceiveChannel, receive } from './receive.ts';
export {
  LINGER_MS_DEFAULT,
  type ListenProgress,
  type ReceiveEnd,
  type ReceiveListenOptions,
  receiveListening,
} from './receive-listener.ts';
export { type Machine, type MachineStatus, type Recovery, recover } from './recover.ts';
export { type IterationReport, type MigrationReport, REPORT_SCHEMA } from './report.ts';
export type { SettingChange } from './settings.ts';
export { MIGRATE_STEPS, type MigrateStep } from './steps.ts';
