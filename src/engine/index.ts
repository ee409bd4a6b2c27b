export { waitingBytesMax } from './gate.ts';
export { HURRY_MS_MAX, HurriedPasses, heldOutlastsHurry } from './hurry.ts';
export { type Prediction, predict } from './predict.ts';
export { keepsPrediction, PREDICTION_RATIO_MAX, PREDICTION_RATIO_MIN } from './promise.ts';
export {
  type DecisionRecord,
  type EngineOptions,
  type EnginePhase,
  type EngineReport,
  type EngineState,
  engineReport,
  startEngine,
} from './state.ts';
export { type Step, step } from './step.ts';
export { type Command, ENGINE_TICK_MS, type Fact } from './types.ts';
