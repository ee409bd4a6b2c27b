export { anonymize } from './anonymize.ts';
export { describeTrace, heatMap, type TraceDescription } from './describe.ts';
export { readTraceFile, traceLoader } from './file.ts';
export type { TraceHeader } from './format.ts';
export { type TraceEnd, TraceReader, type TraceSink } from './reader.ts';
export { PassRecorder } from './recorder.ts';
export { type Recording, readRecording, type TraceSet } from './recording.ts';
export { replayGuest, replayOf } from './replay.ts';
export { synthesize } from './synthesize.ts';
export {
  type DirtySink,
  type GuestModel,
  type PageCost,
  type RateGroup,
  STEP_MS,
  type TraceSource,
} from './types.ts';
export {
  makeGuest,
  WORKLOAD_DEFAULTS,
  WORKLOADS,
  type WorkloadName,
  type WorkloadOptions,
} from './workload.ts';
export { TraceWriter, type TraceWriterOptions } from './writer.ts';
