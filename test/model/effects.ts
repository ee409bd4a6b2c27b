/** The machine's effects by name and number. */

import type { Effect } from '../../src/handover/index.ts';

export const EFFECTS = [
  'none',
  'hurry',
  'record stop',
  'record prepared',
  'record commit',
  'record running',
  'record continue',
  'stop-source',
  'drain',
  'prove',
  'release-source',
  'look',
  'start-destination',
  'end-source',
  'take-back',
  'end-destination',
  'cancel-migration',
  'restore-settings',
  'continue-source',
  'stop-source-again',
] as const;
export type EffectName = (typeof EFFECTS)[number];

export function effectName(effect: Effect | null): EffectName {
  if (effect === null) return 'none';
  return (effect.do === 'record' ? `record ${effect.step}` : effect.do) as EffectName;
}
