/**
 * Published rules about holding and ordering, reconstructed from their descriptions. Constants are theirs
 * where they name them.
 */

import type {
  Decision,
  Hold,
  Order,
  Outlook,
  ParameterSpec,
  ParameterValues,
  Strategy,
} from '../../vm/index.ts';
import { ADDRESS_ORDER, goOn, HOLD_NONE, PER_PASS, parameter, stop, value } from '../common.ts';
import { frequentSet } from '../hold/frequent.ts';
import { formatBytes, lastIteration, queuedBytes } from '../measures.ts';
import { fitsBandwidth } from '../switchover/fits.ts';
import { followRemaining, type RemainingMemory } from '../switchover/remaining.ts';
import { roundText, stopByRounds } from '../switchover/rounds.ts';

const BASE = {
  ...PER_PASS,
  label: 'R',
  // What these rules compare is exact only after a sync.
  atTick: () => null,
} as const;

/** Their prototypes stand on Xen or KVM pre-copy and keep its stop rules besides their own. */
const ROUNDS: readonly ParameterSpec[] = [
  parameter('rounds', 30, [1, 1000], 'passes', 'most passes', "Xen's cap, on which the prototype stands"),
  parameter('pagesMin', 50, [0, 1e6], 'pages', 'fewer left: stop', "Xen's, on which the prototype stands"),
];

function precopyStop(outlook: Outlook, rule: string, parameters: ParameterValues): Decision {
  const fits = fitsBandwidth(outlook, outlook.limits.downtimeMsMax);
  if (fits.action === 'stop-and-copy') return fits;
  const limits = { rounds: value(parameters, 'rounds'), pagesMin: value(parameters, 'pagesMin') };
  return stopByRounds(outlook, rule, limits) ?? goOn(rule, roundText(outlook));
}

function perPass(
  order: Order,
  hold: (parameters: ParameterValues) => Hold,
  decide: (outlook: Outlook, parameters: ParameterValues) => Decision,
): Pick<Strategy<null>, 'start' | 'atIteration'> {
  return {
    start: () => null,
    atIteration: (outlook, _memory, parameters) => ({
      hold: hold(parameters),
      order,
      decision: decide(outlook, parameters),
      memory: null,
    }),
  };
}

/** Only high-dirty pages are left: sending has nothing more to do. */
function onlyHeldLeft(outlook: Outlook): Decision | null {
  const last = lastIteration(outlook);
  const { heldPages, heldBytes } = outlook.snapshot.backlog;
  if (last === null || heldPages === 0) return null;
  const rest = queuedBytes(outlook);
  if (rest > 0.05 * heldBytes) return null;
  return stop(
    'time-series',
    `only the held pages are left: ${formatBytes(heldBytes)} held, ${formatBytes(rest)} besides`,
  );
}

export const timeSeries: Strategy<null> = {
  ...BASE,
  name: 'time-series',
  idea: 'Pages dirty in at least K of the last N passes wait until stop-and-copy.',
  source: 'Hu et al. 2011, time-series based pre-copy',
  parameters: [
    parameter(
      'theta',
      3,
      [1, 8],
      'passes',
      'K: dirty this often is high-dirty',
      'Hu 2011 (K, N left to the user)',
    ),
    parameter('of', 5, [1, 8], 'passes', 'N: length of the series', 'Hu 2011'),
    parameter(
      'leaveAfterClean',
      5,
      [1, 8],
      'passes',
      'out after this many clean passes',
      'reconstructed: the whole series',
    ),
    ...ROUNDS,
  ],
  ...perPass(
    ADDRESS_ORDER,
    (parameters) => frequentSet(parameters, false),
    (outlook, parameters) => {
      return onlyHeldLeft(outlook) ?? precopyStop(outlook, 'time-series', parameters);
    },
  ),
};

export const hierarchical: Strategy<null> = {
  ...BASE,
  name: 'hierarchical',
  idea: 'A modification counter per page; the coldest level is sent first, the hottest last.',
  source: 'Liu et al. 2010, hierarchical copy',
  parameters: ROUNDS,
  ...perPass(
    { kind: 'counter' },
    () => HOLD_NONE,
    (outlook, parameters) => precopyStop(outlook, 'hierarchical', parameters),
  ),
};

export const reorderDelta: Strategy<null> = {
  ...BASE,
  name: 'reorder-delta',
  idea: 'Lowest dirty count first; pages sent before go as deltas.',
  source: 'Svard et al. 2011, dynamic page transfer reordering and delta compression; weights reconstructed',
  delta: true,
  parameters: ROUNDS,
  ...perPass(
    { kind: 'counter' },
    () => HOLD_NONE,
    (outlook, parameters) => precopyStop(outlook, 'reorder-delta', parameters),
  ),
};

export const memoryRate: Strategy<RemainingMemory> = {
  ...BASE,
  name: 'memory-rate',
  idea: 'Send at full bandwidth, follow the remaining memory, switch at a minimum once it stops falling or repeats.',
  source: 'Ibrahim et al. 2011',
  parameters: [
    parameter('fallMin', 0.05, [0, 1], 'share', 'a smaller fall is none', 'reconstructed'),
    parameter('sameWithin', 0.02, [0, 1], 'share', 'remainders this close repeat', 'reconstructed'),
    parameter('leastWithin', 0.05, [0, 1], 'share', 'this close to the least is a minimum', 'reconstructed'),
  ],
  start: () => ({ recent: [], leastBytes: null }),
  atIteration: (outlook, memory, parameters) => {
    const fits = fitsBandwidth(outlook, outlook.limits.downtimeMsMax);
    const rule = {
      fallMin: value(parameters, 'fallMin'),
      sameWithin: value(parameters, 'sameWithin'),
      leastWithin: value(parameters, 'leastWithin'),
    };
    const followed = followRemaining(outlook, memory, rule);
    const decision = fits.action === 'stop-and-copy' ? fits : followed.decision;
    return { hold: HOLD_NONE, order: ADDRESS_ORDER, decision, memory: followed.memory };
  },
};
