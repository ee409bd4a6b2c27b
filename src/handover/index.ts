export { type Acts, carryOut } from './carry-out.ts';
export { beginHandover, beginRecovery, beginUndo } from './start.ts';

export type {
  DestinationSeen,
  Effect,
  EndedHow,
  Ends,
  HandoverState,
  Known,
  Loss,
  Outcome,
  Recorded,
  RecordedStep,
  SourceSeen,
} from './types.ts';
