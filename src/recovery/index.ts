export { type Endpoints, endpointsOf } from './endpoints.ts';
export { type Guardian, startGuardian } from './guardian.ts';
export {
  type Endpoint,
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
export { type Machine, type MachineStatus, type Recovery, recover } from './recover.ts';
