export { Drive, type Ending, type ProgressView } from './drive.ts';
export {
  foldJournal,
  Journal,
  type JournalEntry,
  type JournalState,
  readJournal,
  stateDirectory,
} from './journal.ts';
export { qmpMachine } from './machine.ts';
export { type MigrateHooks, migrate } from './migrate.ts';
export {
  FIXED_DOWNTIME_MS,
  LOAD_TIMEOUT_MS,
  MIGRATE_DEFAULTS,
  type MigrateOptions,
  parseQmpEndpoint,
} from './options.ts';
export { type Machine, type Recovery, recover } from './recover.ts';
export { type IterationReport, type MigrationReport, REPORT_SCHEMA } from './report.ts';
