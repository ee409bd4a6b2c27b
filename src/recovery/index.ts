export { isClaimOver, releaseClaimsOf } from './claims.ts';
export { type Endpoints, endpointsOf } from './endpoints.ts';
export {
  hasEnded,
  type JournalEntry,
  type JournalState,
} from './entries.ts';
export { announceEnd, finish, lockPathOf } from './finish.ts';
export { makeFolder } from './folder.ts';
export { withFound } from './found.ts';
export { type Guardian, startGuardian } from './guardian.ts';
export { Journal, readEntries, readJournal } from './journal.ts';
export {
  type FoundJournal,
  forgottenPathOf,
  journalPathOf,
  laterJournal,
  listJournals,
  pruneJournals,
  stateDirectory,
  stateFolderOf,
} from './journals.ts';
export { CONTROL_SOCKET, removeLeftovers, sweepLeftovers } from './leftovers.ts';
export { type Lock, takeLock } from './lock.ts';
export { deadlineMsOf, endActs, isRefusal, type LeftDestination } from './recover.ts';
