export { type Endpoints, endpointsOf } from './endpoints.ts';
export {
  foldJournal,
  hasEnded,
  type JournalEntry,
  type JournalState,
  knownOf,
} from './entries.ts';
export { announceEnd, type FinishOptions, finish, lockPathOf, log, releaseClaims } from './finish.ts';
export { makeFolder } from './folder.ts';
export { type Guardian, startGuardian } from './guardian.ts';
export { Journal, readJournal } from './journal.ts';
export {
  type FoundJournal,
  journalPathOf,
  laterJournal,
  listJournals,
  namesSameVm,
  pruneJournals,
  stateDirectory,
} from './journals.ts';
export { type Lock, takeLock } from './lock.ts';
export { deadlineMsOf, endActs, endBy, isRefusal, recover } from './recover.ts';
