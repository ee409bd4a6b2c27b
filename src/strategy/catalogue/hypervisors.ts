/** The pre-copy rules of other hypervisors: Xen, Hyper-V, vMotion. */

import type { Decision, Hold, Outlook, ParameterValues, Strategy } from '../../vm/index.ts';
import { ADDRESS_ORDER, goOn, HOLD_NONE, PER_PASS, parameter, plain, value } from '../common.ts';
import { dirtyBytesPerSecond, formatPercent, lastIteration, rateText } from '../measures.ts';
import { fitsBandwidth } from '../switchover/fits.ts';
import { roundText, stopByRounds, xenClassicStop } from '../switchover/rounds.ts';

const BASE = {
  ...PER_PASS,
  label: 'F',
  start: () => null,
  // A decision needs a fresh bitmap: only a sync brings one.
  atTick: () => null,
} as const;

function perPass(hold: Hold, decide: (outlook: Outlook, parameters: ParameterValues) => Decision) {
  return (outlook: Outlook, _memory: null, parameters: ParameterValues) => ({
    hold,
    order: ADDRESS_ORDER,
    decision: decide(outlook, parameters),
    memory: null,
  });
}

export const xenClassic: Strategy<null> = {
  ...BASE,
  name: 'xen-classic',
  idea: 'Skip pages already dirty again; stop when a pass sends more than the last one at full rate, or after 29 passes or 3 x RAM.',
  source: 'Xen tools/libxc xc_domain_save.c (removed in 4.7)',
  parameters: [
    parameter('rounds', 29, [1, 1000], 'passes', 'most passes', 'xc_domain_save.c DEF_MAX_ITERS'),
    parameter('pagesMin', 50, [0, 1e6], 'pages', 'fewer left: stop', 'xc_domain_save.c'),
    parameter(
      'sentRamMax',
      3,
      [1, 1000],
      'x RAM',
      'more sent than this: stop',
      'xc_domain_save.c DEF_MAX_FACTOR',
    ),
  ],
  atIteration: perPass({ kind: 'dirty-again' }, (outlook, parameters) => {
    const limits = { rounds: value(parameters, 'rounds'), pagesMin: value(parameters, 'pagesMin') };
    return (
      stopByRounds(outlook, 'xen-classic', limits) ??
      xenClassicStop(outlook, 'xen-classic', value(parameters, 'sentRamMax'))
    );
  }),
};

export const xenV2: Strategy<null> = {
  ...BASE,
  name: 'xen-v2',
  idea: 'Stop after 5 passes or under 50 pages.',
  source: 'Xen tools/libs/guest xg_sr_save.c, simple precopy policy',
  parameters: [
    parameter('rounds', 5, [1, 1000], 'passes', 'most passes', 'xg_sr_save.c SPP_MAX_ITERATIONS'),
    parameter('pagesMin', 50, [0, 1e6], 'pages', 'fewer left: stop', 'xg_sr_save.c SPP_TARGET_DIRTY_COUNT'),
  ],
  atIteration: perPass(HOLD_NONE, (outlook, parameters) => {
    const limits = { rounds: value(parameters, 'rounds'), pagesMin: value(parameters, 'pagesMin') };
    return stopByRounds(outlook, 'xen-v2', limits) ?? goOn('xen-v2', roundText(outlook));
  }),
};

export const hyperv: Strategy<null> = {
  ...BASE,
  name: 'hyperv',
  idea: 'Ten passes, then stop.',
  source: "Microsoft's description of Hyper-V live migration",
  parameters: [parameter('rounds', 10, [1, 1000], 'passes', 'most passes', 'Hyper-V documentation')],
  atIteration: perPass(HOLD_NONE, (outlook, parameters) => {
    const limits = { rounds: value(parameters, 'rounds'), pagesMin: 1 };
    return stopByRounds(outlook, 'hyperv', limits) ?? goOn('hyperv', roundText(outlook));
  }),
};

interface Slowdown {
  readonly share: number;
}

export const vmotion: Strategy<Slowdown> = {
  ...BASE,
  name: 'vmotion',
  // With QEMU's auto-converge the amount would be QEMU's to choose: that is the strategy of that name.
  simulatorOnly: 'it sets how much the vCPUs are slowed, which QEMU has no command for',
  idea: 'Stop when the rest fits 500 ms; slow the vCPUs a little, more with every pass, while dirtying beats the link.',
  source:
    "VMware's descriptions of vMotion and Stun During Page Send; the slowdown's constants are reconstructed",
  parameters: [
    parameter('downtimeMs', 500, [1, 600_000], 'ms', 'the rest must fit this', 'VMware vMotion paper'),
    parameter(
      'slowStep',
      0.1,
      [0.01, 0.9],
      'share',
      'vCPU time taken per pass that dirties too fast',
      'reconstructed',
    ),
    parameter('slowMax', 0.6, [0, 0.99], 'share', 'most vCPU time taken', 'reconstructed'),
  ],
  start: () => ({ share: 0 }),
  atIteration: (outlook, memory, parameters) => {
    const decision = fitsBandwidth(outlook, value(parameters, 'downtimeMs'));
    const last = lastIteration(outlook);
    const link = outlook.linkBytesPerSecond;
    const tooFast = last !== null && link !== null && dirtyBytesPerSecond(outlook, last) > link;
    if (decision.action !== 'continue' || !tooFast) return plain(decision, memory);
    const share = Math.min(value(parameters, 'slowMax'), memory.share + value(parameters, 'slowStep'));
    const text = `${rateText(outlook)}: the vCPUs lose ${formatPercent(share)} of their time; ${decision.text}`;
    return plain({ action: 'throttle', rule: 'vmotion-slow', text, throttle: share }, { share });
  },
};
