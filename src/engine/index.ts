export { askGate, type GateAnswer, type GateQuestion } from './gate.ts';
export { type Prediction, predict } from './predict.ts';
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
export type { Command, Fact } from './types.ts';
