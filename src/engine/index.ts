export { HURRY_MS_MAX, HurriedPasses, heldOutlastsHurry, hurryMsMax } from './hurry.ts';
export { predict } from './predict.ts';
export { keepsPrediction, PREDICTION_RATIO_MAX, PREDICTION_RATIO_MIN } from './promise.ts';
export {
  type EngineState,
  engineReport,
  startEngine,
} from './state.ts';
export { step } from './step.ts';
export { type Command, ENGINE_TICK_MS, type Fact } from './types.ts';
