export { type Acts, carryOut } from './carry-out.ts';
export { beginHandover, beginRecovery, beginUndo } from './start.ts';
export { step } from './step.ts';
export type {
  DestinationSeen,
  Effect,
  EndedHow,
  Ends,
  Fact,
  HandoverState,
  Known,
  Loss,
  Outcome,
  Phase,
  Recorded,
  RecordedStep,
  SourceSeen,
  Step,
} from './types.ts';
