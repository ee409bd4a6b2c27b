export { simulate, timeLimitMsOf } from './run.ts';
export {
  type Bounds,
  type ClairvoyantStop,
  SIMULATION_DEFAULTS,
  type SimulationOptions,
  type SimulationResult,
} from './types.ts';
