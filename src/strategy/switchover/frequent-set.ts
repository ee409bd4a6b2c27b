/**
 * FRS: stop when what is left dirty is the frequent reference set, or when iterations have stopped shrinking
 * it.
 *
 * Deviations, with reasons:
 * 1. The first rule also asks that the rest outside F is nearly drained (drained.ts): |D_k \ F_k| says
 *    nothing about RAM that was never sent.
 * 2. The second rule's "queue outside F fits the downtime limit" is widened to drained.ts. When a hot set is
 *    so wide that its pages are written less than once an iteration, F stays small and the queue settles at a
 *    level that never fits. Then what was sent came back, and the rule stops.
 * 3. |D_k| is compared as a rate, because iterations differ in length.
 * 4. Where QEMU takes long to hand over what is dirty, an iteration is one pass, twice in a row is frequent,
 *    and one pass that finds no less is flat: each more of them costs the time of the whole hot set.
 */

import type { Decision, Outlook, ParameterValues } from '../../vm/index.ts';
import { goOn, stop, value } from '../common.ts';
import { thetaOf } from '../hold/frequent.ts';
import {
  backlogText,
  dirtyIsFlat,
  dirtyPagesPerSecond,
  downtimeText,
  formatPercent,
  lastIteration,
  passesAreFlat,
  passesAreLong,
} from '../measures.ts';
import { drained } from './drained.ts';
import { fitsLimit } from './fits.ts';

export function frequentSetSwitchover(outlook: Outlook, parameters: ParameterValues): Decision {
  const fits = fitsLimit(outlook);
  if (fits !== null) return fits;
  const last = lastIteration(outlook);
  if (last === null) {
    return goOn('frs-learn', `no iteration finished after the first pass; ${backlogText(outlook)}`);
  }
  const rest = drained(outlook, {
    heldShare: value(parameters, 'heldShare'),
    yieldMin: value(parameters, 'yieldMin'),
    yieldIterations: value(parameters, 'flatIterations'),
  });
  const ofPasses = passesAreLong(outlook);
  const epsilon = value(parameters, 'epsilon');
  const outside = last.dirtyPages > 0 ? last.dirtyOutsideHoldPages / last.dirtyPages : 0;
  const outsideText = `${last.dirtyOutsideHoldPages} of ${last.dirtyPages} dirty pages (${formatPercent(outside)}) lie outside the frequent set`;
  const isFrequent = outside <= epsilon && outlook.history.length > thetaOf(parameters, ofPasses);
  if (isFrequent && rest.drained) {
    return stop(
      'frs-frequent-set',
      `${outsideText}, at most ${formatPercent(epsilon)}; ${rest.text}; ${downtimeText(outlook)}`,
    );
  }
  const iterations = value(parameters, 'flatIterations');
  const delta = value(parameters, 'delta');
  const isFlat = ofPasses ? passesAreFlat(outlook, delta) : dirtyIsFlat(outlook.history, delta, iterations);
  const flatText = ofPasses
    ? `${outlook.passes.at(-1)?.pages ?? 0} pages dirty at the newest sync, as many as at the one before`
    : `${Math.round(dirtyPagesPerSecond(last))} distinct dirty pages/s, not falling for ${iterations} iterations`;
  if (isFlat && rest.drained) return stop('frs-flat', `${flatText}; ${rest.text}; ${downtimeText(outlook)}`);
  if (isFrequent) return goOn('frs-drain', `${outsideText}, but ${rest.text}; ${downtimeText(outlook)}`);
  if (isFlat) return goOn('frs-drain', `${flatText}, but ${rest.text}; ${downtimeText(outlook)}`);
  return goOn(
    'frs-learn',
    `${outsideText}, more than ${formatPercent(epsilon)}, and dirtying still changes; ${downtimeText(outlook)}`,
  );
}
