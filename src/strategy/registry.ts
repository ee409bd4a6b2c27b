/** All strategies by name, and the reading of their parameters from `name=value`. */

import { GodwitError } from '../base/index.ts';
import type { ParameterSpec, ParameterValues, Strategy } from '../vm/index.ts';
import { adaptive } from './catalogue/adaptive.ts';
import { frs } from './catalogue/frs.ts';
import { hyperv, vmotion, xenClassic, xenV2 } from './catalogue/hypervisors.ts';
import { kubevirtStall } from './catalogue/kubevirt-stall.ts';
import { kubevirtRamp, nova, ovirt, proxmox } from './catalogue/managers.ts';
import { checkpoint, traceReplay } from './catalogue/models.ts';
import { mp } from './catalogue/mp.ts';
import { precopy, precopyRelaxed } from './catalogue/precopy.ts';
import { autoConverge, postcopy, threeStage } from './catalogue/qemu-mechanisms.ts';
import { hierarchical, memoryRate, reorderDelta, timeSeries } from './catalogue/research.ts';

/**
 * A strategy whose memory nobody else looks into. Methods are bivariant, so the typed ones fit without a
 * cast.
 */
export type AnyStrategy = Strategy;

export const strategies: readonly AnyStrategy[] = Object.freeze([
  adaptive,
  frs,
  mp,
  precopy,
  precopyRelaxed,
  xenClassic,
  xenV2,
  hyperv,
  vmotion,
  ovirt,
  proxmox,
  nova,
  kubevirtRamp,
  kubevirtStall,
  timeSeries,
  hierarchical,
  reorderDelta,
  memoryRate,
  threeStage,
  postcopy,
  autoConverge,
  traceReplay,
  checkpoint,
] as AnyStrategy[]);

/** Errors: STRATEGY_UNKNOWN with the known names. */
export function strategyByName(name: string): AnyStrategy {
  const found = strategies.find((strategy) => strategy.name === name);
  if (found !== undefined) return found;
  throw new GodwitError('STRATEGY_UNKNOWN', `there is no strategy "${name.slice(0, 64)}"`, {
    hint: `known: ${strategies.map((strategy) => strategy.name).join(', ')}`,
    safe: 'nothing was started',
  });
}

/** The defaults with `settings` ("name=value") over them. Errors: PARAMETER_UNKNOWN, PARAMETER_RANGE. */
export function readParameters(strategy: AnyStrategy, settings: readonly string[]): ParameterValues {
  const values: Record<string, number> = {};
  for (const spec of strategy.parameters) values[spec.name] = spec.default;
  for (const setting of settings) {
    const equals = setting.indexOf('=');
    const name = equals < 0 ? setting : setting.slice(0, equals);
    const spec = strategy.parameters.find((candidate) => candidate.name === name);
    if (spec === undefined) throw unknownParameter(strategy, name);
    values[spec.name] = inRange(strategy, spec, equals < 0 ? '' : setting.slice(equals + 1).trim());
  }
  return Object.freeze(values);
}

function unknownParameter(strategy: AnyStrategy, name: string): GodwitError {
  const known = strategy.parameters.map((spec) => spec.name).join(', ');
  return new GodwitError(
    'PARAMETER_UNKNOWN',
    `strategy ${strategy.name} has no parameter "${name.slice(0, 64)}"`,
    {
      hint: known === '' ? 'it has none' : `it has: ${known}`,
      safe: 'nothing was started',
    },
  );
}

/** Units that are counted: half an iteration means nothing. */
const COUNTED: readonly string[] = [
  'iterations',
  'passes',
  'polls',
  'steps',
  'stalls',
  'epochs',
  'times',
  'pages',
  'flag',
];

function inRange(strategy: AnyStrategy, spec: ParameterSpec, text: string): number {
  const number = text === '' ? Number.NaN : Number(text);
  const whole = COUNTED.includes(spec.unit);
  if (number >= spec.min && number <= spec.max && (!whole || Number.isInteger(number))) return number;
  throw new GodwitError(
    'PARAMETER_RANGE',
    `${strategy.name}: ${spec.name}=${text.slice(0, 64)} is out of range`,
    {
      hint: `allowed: ${whole ? 'whole numbers from ' : ''}${spec.min} to ${spec.max} ${spec.unit}; default ${spec.default}`,
      safe: 'nothing was started',
      fields: { parameter: spec.name, min: spec.min, max: spec.max, default: spec.default },
    },
  );
}
