/**
 * adaptive's hold: the pages that the link cannot keep current (plateau.ts). Such a page is dirty again
 * before the stop however often it is sent, so it waits and goes once.
 */

import type { Hold } from '../../vm/index.ts';
import { HOLD_NONE } from '../common.ts';
import type { HotBoundary } from '../plateau.ts';

export function holdHotterThan({ rewritesPerSecondMax }: HotBoundary): Hold {
  return Number.isFinite(rewritesPerSecondMax)
    ? { kind: 'rate', perSecondMax: rewritesPerSecondMax }
    : HOLD_NONE;
}
