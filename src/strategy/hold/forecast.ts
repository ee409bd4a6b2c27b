/**
 * adaptive's hold: pages that will most likely be rewritten before they would be final. Coldest first, the link settles where resending uses
 * it up; a page hotter than that is dirty again before the stop however often it is sent.
 */

import type { Hold } from '../../vm/index.ts';
import { HOLD_NONE } from '../common.ts';
import type { Share } from '../forecast.ts';

export function holdByForecast(share: Share): Hold {
  return Number.isFinite(share.perSecondMax) ? { kind: 'rate', perSecondMax: share.perSecondMax } : HOLD_NONE;
}
