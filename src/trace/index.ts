export { anonymize } from './anonymize.ts';
export { describeTrace, heatMap } from './describe.ts';
export { readTraceFile, traceLoader } from './file.ts';
export { TraceReader } from './reader.ts';
export { PassRecorder } from './recorder.ts';
export { type Recording, readRecording } from './recording.ts';
export { replayGuest, replayOf } from './replay.ts';
export { synthesize } from './synthesize.ts';
export {
  type DirtySink,
  type GuestModel,
  type PageCost,
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
export { TraceWriter } from './writer.ts';
