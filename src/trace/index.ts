export { type DirtySink, type GuestModel, type PageCost, type RateGroup, STEP_MS } from './types.ts';
export {
  makeGuest,
  WORKLOAD_DEFAULTS,
  WORKLOADS,
  type WorkloadName,
  type WorkloadOptions,
} from './workload.ts';
