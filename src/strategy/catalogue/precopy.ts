/**
 * QEMU's own pre-copy, at its default and relaxed: the baselines. Live, QEMU decides by itself; the simulator
 * asks the rule here.
 */

import type { Outlook, ParameterValues, Strategy } from '../../vm/index.ts';
import { PER_PASS, parameter, plain, value } from '../common.ts';
import { fitsBandwidth } from '../switchover/fits.ts';

const BASE = {
  ...PER_PASS,
  source: 'QEMU migration.c: pending < measured bandwidth x downtime-limit',
  label: 'F',
  mechanism: 'qemu-precopy',
  start: () => null,
} as const;

function native(limitMs: (outlook: Outlook, parameters: ParameterValues) => number) {
  return {
    atIteration: (outlook: Outlook, _memory: null, parameters: ParameterValues) =>
      plain(fitsBandwidth(outlook, limitMs(outlook, parameters)), null),
    // QEMU synchronises the dirty bitmap before it believes its estimate, so between syncs nothing is
    // decided.
    atTick: () => null,
  };
}

export const precopy: Strategy<null> = {
  ...BASE,
  name: 'precopy',
  idea: "QEMU's rule: stop when what remains fits --downtime-limit (QEMU's default: 300 ms); nothing held, no cap on iterations.",
  promisesDowntimeLimit: true,
  parameters: [],
  ...native((outlook) => outlook.limits.downtimeMsMax),
};

export const precopyRelaxed: Strategy<null> = {
  ...BASE,
  name: 'precopy-relaxed',
  idea: 'The same with the downtime limit doubled until every run ends.',
  parameters: [
    parameter('downtimeMs', 300, [1, 2_000_000], 'ms', 'the limit that is doubled', 'QEMU default 300 ms'),
    parameter(
      'doublings',
      3,
      [0, 12],
      'times',
      'limit = downtimeMs x 2^doublings',
      'calibrated per cell: smallest with 5 of 5 ended',
    ),
  ],
  ...native((_outlook, parameters) => value(parameters, 'downtimeMs') * 2 ** value(parameters, 'doublings')),
};
