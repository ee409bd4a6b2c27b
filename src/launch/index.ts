export { planLaunch } from './plan.ts';
export type { LaunchPlan } from './types.ts';
