/** MP's hold: the hot regions of a hot spot, the pages just behind a sweep's front, else the frequent set. */

import type { Hold, Outlook, ParameterValues } from '../../vm/index.ts';
import { HOLD_NONE } from '../common.ts';
import { passesAreLong } from '../measures.ts';
import { dirtyRegions, hotRegions, type Pattern } from '../switchover/pattern-class.ts';
import { frequentSet } from './frequent.ts';

/** Nothing is held for a guest that pre-copy can follow: its hot pages can be sent while the VM runs. */
export function holdByPattern(
  pattern: Pattern,
  intensive: boolean,
  outlook: Outlook,
  parameters: ParameterValues,
): Hold {
  const { history } = outlook;
  if (!intensive || (pattern.class === 'phased' && pattern.quiet)) return HOLD_NONE;
  if (pattern.class === 'hot-spot' || pattern.class === 'phased') {
    const regions = hotRegions(history);
    return regions === null ? HOLD_NONE : { kind: 'regions', regions, onlyRewritten: true };
  }
  const last = history.at(-1);
  if (pattern.class === 'sweep' && last !== undefined) {
    return { kind: 'regions', regions: dirtyRegions(last), onlyRewritten: true };
  }
  return pattern.class === 'scattered' ? frequentSet(parameters, passesAreLong(outlook)) : HOLD_NONE;
}
