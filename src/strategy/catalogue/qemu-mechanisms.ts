/**
 * Strategies that QEMU itself carries out: post-copy, three-stage on top of it, and auto-converge. The
 * gateway stays transparent where it must.
 */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { goOn, PER_PASS, parameter, plain, value } from '../common.ts';
import { formatBytes, formatPercent, lastIteration, remainingBytes } from '../measures.ts';
import { fitsBandwidth } from '../switchover/fits.ts';

const BASE = {
  ...PER_PASS,
  label: 'F',
  atTick: () => null,
} as const;

function afterPasses(rule: string, outlook: Outlook, passes: number): Verdict<null> {
  const done = (outlook.history.at(-1)?.index ?? -1) + 1;
  if (done < passes) {
    const rest = formatBytes(remainingBytes(outlook));
    return plain(goOn(rule, `${done} of ${passes} passes before post-copy; ${rest} remain`), null);
  }
  const text = `${done} passes done; what is dirty by then follows after the VM has moved; a failure in that phase loses the VM`;
  return plain({ action: 'post-copy', rule, text }, null);
}

export const postcopy: Strategy<null> = {
  ...BASE,
  name: 'postcopy',
  mechanism: 'qemu-postcopy',
  idea: "QEMU's post-copy: the VM moves after a pass, its remaining pages follow on demand. A failure in that phase loses the VM.",
  source: 'Hines and Gopalan 2009; QEMU migrate-start-postcopy',
  parameters: [
    parameter(
      'passes',
      1,
      [1, 1000],
      'passes',
      'pre-copy passes before it',
      'QEMU documentation: let one pass finish',
    ),
  ],
  start: () => null,
  atIteration: (outlook, _memory, parameters) =>
    afterPasses('postcopy', outlook, value(parameters, 'passes')),
};

export const threeStage: Strategy<null> = {
  ...BASE,
  name: 'three-stage',
  mechanism: 'qemu-postcopy',
  idea: 'One full pass, stop, send state and dirty bitmap, resume at the destination, push and fetch what is dirty.',
  source: 'TSMC 2014, three-stage memory copy; carried out by QEMU post-copy (RAM_DISCARD is the bitmap)',
  parameters: [],
  start: () => null,
  atIteration: (outlook) => afterPasses('three-stage', outlook, 1),
};

interface Converge {
  readonly high: number;
  readonly share: number;
}

/**
 * QEMU migration_trigger_throttle: bytes dirtied in a pass against a share of those sent in it, twice in a
 * row.
 */
function converge(outlook: Outlook, memory: Converge, parameters: ParameterValues): Verdict<Converge> {
  const fits = fitsBandwidth(outlook, outlook.limits.downtimeMsMax);
  const last = lastIteration(outlook);
  if (fits.action === 'stop-and-copy' || last === null) return plain(fits, memory);
  const allowed = value(parameters, 'thresholdShare') * last.sentPages;
  if (last.dirtyPages <= allowed) return plain(fits, memory);
  const high = memory.high + 1;
  if (high < value(parameters, 'highPasses')) return plain(fits, { ...memory, high });
  const share =
    memory.share === 0
      ? value(parameters, 'initialShare')
      : Math.min(value(parameters, 'shareMax'), memory.share + value(parameters, 'incrementShare'));
  const text = `${last.dirtyPages} pages dirtied while ${last.sentPages} were sent: vCPUs lose ${formatPercent(share)}; ${fits.text}`;
  return plain({ action: 'throttle', rule: 'auto-converge', text, throttle: share }, { high: 0, share });
}

const QEMU = 'QEMU default';

export const autoConverge: Strategy<Converge> = {
  ...BASE,
  name: 'auto-converge',
  mechanism: 'qemu-auto-converge',
  idea: "QEMU's throttle, for comparison: it slows the guest until pre-copy converges.",
  source: 'QEMU migration/ram.c migration_trigger_throttle',
  promisesDowntimeLimit: true,
  parameters: [
    parameter(
      'thresholdShare',
      0.5,
      [0.01, 1],
      'share',
      'dirtied above this share of sent: too fast',
      `${QEMU} 50 %`,
    ),
    parameter('highPasses', 2, [1, 100], 'passes', 'so often before a step', 'QEMU ram.c'),
    parameter('initialShare', 0.2, [0.01, 0.99], 'share', 'first step', `${QEMU} 20 %`),
    parameter('incrementShare', 0.1, [0.01, 0.99], 'share', 'further steps', `${QEMU} 10 %`),
    parameter('shareMax', 0.99, [0.01, 0.99], 'share', 'last step', `${QEMU} 99 %`),
  ],
  start: () => ({ high: 0, share: 0 }),
  atIteration: converge,
};
