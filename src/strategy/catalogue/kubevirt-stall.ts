/** KubeVirt's stall detector as a strategy. */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { PER_PASS, parameter, plain, value } from '../common.ts';
import { type StallMemory, type StallRule, watchForStall } from '../switchover/stall.ts';

function rule(parameters: ParameterValues): StallRule {
  return {
    stallShare: value(parameters, 'stallShare'),
    switchShare: value(parameters, 'switchShare'),
    downtimeMsMax: value(parameters, 'downtimeMs'),
    slack: value(parameters, 'slack'),
    stallsMax: value(parameters, 'stallsMax'),
  };
}

function ask(outlook: Outlook, memory: StallMemory, parameters: ParameterValues): Verdict<StallMemory> {
  const watched = watchForStall(outlook, memory, rule(parameters));
  return plain(watched.decision, watched.memory);
}

export const kubevirtStall: Strategy<StallMemory> = {
  ...PER_PASS,
  name: 'kubevirt-stall',
  idea: 'Stalled when a window of 40 s brought less than 4 %; then switch near the least remaining memory, or abort above 1350 ms.',
  source: 'KubeVirt virt-launcher, stall detection',
  label: 'F',
  parameters: [
    parameter(
      'windowMs',
      40_000,
      [100, 600_000],
      'ms',
      'progress is measured against this long ago',
      'KubeVirt',
    ),
    parameter(
      'stallShare',
      0.96,
      [0.1, 1],
      'share',
      'remaining above this share of the old least: stalled',
      'KubeVirt',
    ),
    parameter('switchShare', 1.04, [1, 2], 'share', 'close enough to the least to switch', 'KubeVirt'),
    parameter('downtimeMs', 900, [1, 60_000], 'ms', 'cap on the downtime', 'KubeVirt'),
    parameter('slack', 1.5, [1, 10], 'x', 'after a stall the cap times this', 'KubeVirt'),
    parameter(
      'stallsMax',
      4,
      [1, 16],
      'stalls',
      'more stalls, each in half the window: abort',
      'reconstructed: where the halving ends',
    ),
    parameter('timeScale', 1, [1e-6, 1], 'x', 'the window is multiplied by this', '1 = as published'),
  ],
  start: (parameters) => ({
    samples: [],
    leastBytes: null,
    windowMs: value(parameters, 'windowMs') * value(parameters, 'timeScale'),
    stalls: 0,
  }),
  // Only right after a sync is what remains exact; in between QEMU's figure only falls.
  atIteration: ask,
  atTick: () => null,
};
