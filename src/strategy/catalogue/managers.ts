/**
 * The policies of managers above QEMU: oVirt, Proxmox VE, OpenStack Nova, KubeVirt. They move QEMU's downtime
 * limit; QEMU still decides, by its comparison after a dirty sync. `timeScale` shortens their time constants
 * for small test machines.
 */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { abort, goOn, PER_PASS, parameter, plain, stop, value } from '../common.ts';
import { formatBytes, formatMs, remainingBytes } from '../measures.ts';
import { fitsBandwidth } from '../switchover/fits.ts';
import { novaGib, novaLimitMs, OVIRT_STEPS, ovirtLimitMs, rampLimitMs } from '../switchover/ladder.ts';

const BASE = {
  ...PER_PASS,
  label: 'F',
} as const;

const TIME_SCALE = parameter(
  'timeScale',
  1,
  [1e-6, 1],
  'x',
  'all waiting times are multiplied by this',
  '1 = as published',
);

interface Stalls {
  readonly leastBytes: number | null;
  readonly stalled: number;
}

export const ovirt: Strategy<Stalls> = {
  ...BASE,
  name: 'ovirt',
  idea: 'Start at 100 ms; every stalled iteration raises the limit up to 500 ms, then the migration is aborted.',
  source: "oVirt VDSM migration policy 'minimal downtime' schedule",
  parameters: [
    parameter('downtimeMs', 100, [1, 10_000], 'ms', 'limit before the first stall', 'VDSM'),
    parameter('stalledMax', 6, [1, 1000], 'iterations', 'more stalled iterations: abort', 'VDSM'),
  ],
  start: () => ({ leastBytes: null, stalled: 0 }),
  atTick: () => null,
  atIteration: (outlook, memory, parameters) => {
    const rest = remainingBytes(outlook);
    const stalls = memory.leastBytes !== null && rest >= memory.leastBytes;
    const stalled = memory.stalled + (stalls ? 1 : 0);
    const next = { leastBytes: Math.min(memory.leastBytes ?? rest, rest), stalled };
    const decision = fitsBandwidth(outlook, ovirtLimitMs(stalled, value(parameters, 'downtimeMs')));
    if (decision.action === 'stop-and-copy' || stalled <= value(parameters, 'stalledMax'))
      return plain(decision, next);
    const text = `${stalled} iterations stalled, limit at its last step of ${OVIRT_STEPS.at(-1)!.limitMs} ms; ${decision.text}`;
    return plain(abort('ovirt', text), next);
  },
};

interface Polls {
  readonly lastBytes: number | null;
  readonly rises: number;
  readonly limitMs: number | null;
  readonly polledMs: number;
}

function proxmoxPoll(outlook: Outlook, memory: Polls, parameters: ParameterValues): Polls {
  const everyMs = value(parameters, 'pollMs') * value(parameters, 'timeScale');
  if (outlook.nowMs - memory.polledMs < everyMs) return memory;
  const rest = remainingBytes(outlook);
  const rose = rest === 0 || (memory.lastBytes !== null && rest > memory.lastBytes);
  const rises = memory.rises + (rose ? 1 : 0);
  const limitMs = memory.limitMs ?? value(parameters, 'downtimeMs');
  const next = { lastBytes: rest, polledMs: outlook.nowMs };
  if (rises <= value(parameters, 'risesMax')) return { ...next, rises, limitMs };
  return { ...next, rises: 0, limitMs: Math.min(2 * limitMs, value(parameters, 'downtimeMsMost')) };
}

export const proxmox: Strategy<Polls> = {
  ...BASE,
  name: 'proxmox',
  idea: 'Whenever the remaining memory rose in more than 5 polls, double the downtime limit, up to 2000 s.',
  source: 'Proxmox VE qemu-server, QemuMigrate.pm phase2',
  parameters: [
    parameter('downtimeMs', 100, [1, 2_000_000], 'ms', 'first limit', 'migrate_downtime, default 0.1 s'),
    parameter(
      'downtimeMsMost',
      2_000_000,
      [1, 2_000_000],
      'ms',
      'last limit',
      "QEMU's own maximum: QemuMigrate.pm doubles without one",
    ),
    parameter('risesMax', 5, [0, 1000], 'polls', 'more rises than this: double', 'QemuMigrate.pm'),
    parameter(
      'pollMs',
      1000,
      [10, 60_000],
      'ms',
      'time between polls',
      'QemuMigrate.pm: 1 s, 0.1 s near the end',
    ),
    TIME_SCALE,
  ],
  start: () => ({ lastBytes: null, rises: 0, limitMs: null, polledMs: 0 }),
  atTick: (outlook, memory, parameters) => {
    const next = proxmoxPoll(outlook, memory, parameters);
    if (next === memory) return null;
    return plain(
      goOn('proxmox', `limit ${formatMs(next.limitMs!)} after ${next.rises} rises of the remaining memory`),
      next,
    );
  },
  atIteration: (outlook, memory, parameters) =>
    plain(fitsBandwidth(outlook, memory.limitMs ?? value(parameters, 'downtimeMs')), memory),
};

export const nova: Strategy<null> = {
  ...BASE,
  name: 'nova',
  idea: 'Raise the limit in 10 linear steps up to 500 ms, each after a delay proportional to RAM; then abort, or force.',
  source: 'OpenStack Nova virt/libvirt/migration.py, downtime_steps and should_abort',
  parameters: [
    parameter('downtimeMs', 500, [100, 600_000], 'ms', 'last limit', 'live_migration_downtime'),
    parameter('steps', 10, [3, 100], 'steps', 'steps up to it', 'live_migration_downtime_steps'),
    parameter('delayS', 75, [3, 3600], 's per GiB', 'delay of a step', 'live_migration_downtime_delay'),
    parameter(
      'completionS',
      800,
      [0, 36_000],
      's per GiB',
      'then it gives up; 0: never',
      'live_migration_completion_timeout',
    ),
    parameter(
      'force',
      0,
      [0, 1],
      'flag',
      '1: force complete instead of abort',
      'live_migration_timeout_action',
    ),
    TIME_SCALE,
  ],
  start: () => null,
  atTick: (outlook, _memory, parameters) => {
    const perGib = novaGib(outlook.pageCount) * 1000 * value(parameters, 'timeScale');
    const mostMs = value(parameters, 'completionS') * perGib;
    if (mostMs === 0 || outlook.nowMs < mostMs) return null;
    const text = `not complete after ${formatMs(outlook.nowMs)}, at most ${formatMs(mostMs)}; ${formatBytes(remainingBytes(outlook))} remain`;
    return plain(
      value(parameters, 'force') >= 1 ? stop('nova-force', text) : abort('nova-timeout', text),
      null,
    );
  },
  atIteration: (outlook, _memory, parameters) => {
    const perGib = novaGib(outlook.pageCount) * 1000 * value(parameters, 'timeScale');
    const delayMs = value(parameters, 'delayS') * perGib;
    const limitMs = novaLimitMs(
      outlook.nowMs,
      delayMs,
      value(parameters, 'steps'),
      value(parameters, 'downtimeMs'),
    );
    return plain(fitsBandwidth(outlook, limitMs), null);
  },
};

interface Ramp {
  readonly sinceMs: number | null;
}

export const kubevirtRamp: Strategy<Ramp> = {
  ...BASE,
  name: 'kubevirt-ramp',
  idea: 'From iteration 3 on, every 10 s the next of 7 limits from 150 to 1050 ms.',
  source: 'KubeVirt virt-launcher, downtime ramp',
  parameters: [
    parameter('fromIteration', 3, [0, 1000], 'iterations', 'the ramp begins here', 'KubeVirt'),
    parameter('everyMs', 10_000, [1, 600_000], 'ms', 'time per step', 'KubeVirt'),
    parameter('steps', 7, [1, 100], 'steps', 'number of limits', 'KubeVirt'),
    parameter('fromMs', 150, [1, 60_000], 'ms', 'first limit', 'KubeVirt'),
    parameter('toMs', 1050, [1, 60_000], 'ms', 'last limit', 'KubeVirt'),
    TIME_SCALE,
  ],
  start: () => ({ sinceMs: null }),
  atTick: () => null,
  atIteration: (outlook, memory, parameters): Verdict<Ramp> => {
    const begun = (outlook.history.at(-1)?.index ?? 0) >= value(parameters, 'fromIteration');
    const sinceMs = memory.sinceMs ?? (begun ? outlook.nowMs : null);
    const everyMs = value(parameters, 'everyMs') * value(parameters, 'timeScale');
    const limitMs = rampLimitMs(
      sinceMs === null ? 0 : outlook.nowMs - sinceMs,
      everyMs,
      value(parameters, 'steps'),
      value(parameters, 'fromMs'),
      value(parameters, 'toMs'),
    );
    return plain(fitsBandwidth(outlook, limitMs), { sinceMs });
  },
};
