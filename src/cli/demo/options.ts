/**
 * What `godwit demo` can be asked for, its defaults, and who carries each strategy.
 * Not responsible for running anything (run.ts).
 */

import type { Command } from 'commander';
import { formatBytes, GodwitError, MIB, parseDurationMs, parseRate, parseSize } from '../../base/index.ts';
import { MIGRATE_DEFAULTS } from '../../controller/index.ts';
import { type Baseline, defaultTimeLimitMs, GUEST_WORKLOADS, type GuestWorkload } from '../../lab/index.ts';
import { type AnyStrategy, readParameters, strategyByName } from '../../strategy/index.ts';
import type { ParameterValues } from '../../vm/index.ts';
import type { CommandOptions } from '../command.ts';

const DEMO_DEFAULTS = {
  strategy: 'mp',
  workload: 'uniform',
  memoryBytes: 256 * MIB,
  linkBytesPerSecond: 25_000_000,
  seed: 1,
  /** The link carries the hot set in this time: longer than QEMU's 300 ms limit, short enough to watch. */
  hotSeconds: 1.6,
  hotBytesMin: 8 * MIB,
  /** The guest writes its hot set this often a second, so that 92 % of it are dirty again after a second. */
  hotTimesPerSecond: 2.5,
} as const;

const MEMORY_BYTES_MIN = 32 * MIB;
const LINK_BYTES_PER_SECOND_MIN = 125_000;
const LINK_BYTES_PER_SECOND_MAX = 12_500_000_000;
const SEED_MAX = 0xffff_0000;
/** Source, destination, and what the gateway holds between them. */
const COPIES_OF_MEMORY = 3;
/** Plain pre-copy is cut short after this time, so that a person can wait for the end; the demo says so. */
const BASELINE_MS_MAX = 120_000;
const BASELINE_FIRST_PASSES = 2.5;

export interface Contestant {
  readonly strategy: AnyStrategy;
  readonly parameters: ParameterValues;
  /** Null where godwit moves the VM. */
  readonly baseline: Baseline | null;
  readonly title: string;
  /** What QEMU is set to, or what the operator asks of godwit. */
  readonly downtimeLimitMs: number;
}

export interface DemoOptions {
  readonly contestant: Contestant;
  readonly workload: GuestWorkload;
  readonly memoryBytes: number;
  readonly hotBytes: number;
  /** Null: unthrottled. */
  readonly rateBytesPerSecond: number | null;
  readonly linkBytesPerSecond: number;
  readonly seed: number;
  /** True also where plain pre-copy itself was chosen. */
  readonly skipBaseline: boolean;
  readonly gatewayMemoryBytesMax: number;
  readonly json: boolean;
}

export function declareOptions(command: Command): void {
  const { strategy, workload, memoryBytes, seed } = DEMO_DEFAULTS;
  command
    .option('--strategy <name>', 'how to migrate: frs, mp, precopy, precopy-relaxed, ...', strategy)
    .option('--param <name=value>', "one of the strategy's parameters; repeatable", collect, [])
    .option('--workload <name>', `what the guest does: ${GUEST_WORKLOADS.join(', ')}`, workload)
    .option('--memory <size>', "the guest's memory", `${memoryBytes / MIB}M`)
    .option('--hot <size>', 'what the guest keeps writing (default: 1.6 s of link)')
    .option('--rate <rate|max>', 'how fast it writes (default: 2.5 times its hot set a second)')
    .option('--link <rate>', 'what the link carries', '200Mbit')
    .option(
      '--downtime-limit <time>',
      'how long the VM may stand still',
      `${MIGRATE_DEFAULTS.downtimeMsMax}ms`,
    )
    .option('--gateway-memory <size>', 'cap on what the gateway holds', '8G')
    .option('--seed <number>', "seed of the guest's memory and writes", String(seed))
    .option('--skip-baseline', 'do not show plain pre-copy first')
    .option('--json', 'print the report as JSON on standard output, and progress on standard error');
}

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

/** Errors: USAGE_VALUE, STRATEGY_UNKNOWN, PARAMETER_UNKNOWN, PARAMETER_RANGE. */
export function readDemoOptions(
  options: CommandOptions,
  availableBytes: number = process.availableMemory(),
): DemoOptions {
  const memoryBytes = wholeMib(
    within('--memory', parseSize(text(options, 'memory')), MEMORY_BYTES_MIN, null),
  );
  refuseTooMuch(memoryBytes, availableBytes);
  const linkBytesPerSecond = parseRate(text(options, 'link'));
  within('--link', linkBytesPerSecond, LINK_BYTES_PER_SECOND_MIN, LINK_BYTES_PER_SECOND_MAX);
  const hotBytes = hotOf(options['hot'], memoryBytes, linkBytesPerSecond);
  const contestant = contestantOf(options);
  return {
    contestant,
    workload: workloadOf(text(options, 'workload')),
    memoryBytes,
    hotBytes,
    rateBytesPerSecond: rateOf(options['rate'], hotBytes),
    linkBytesPerSecond,
    seed: seedOf(text(options, 'seed')),
    skipBaseline: options['skipBaseline'] === true || contestant.baseline === 'qemu-precopy',
    gatewayMemoryBytesMax: parseSize(text(options, 'gatewayMemory')),
    json: options['json'] === true,
  };
}

function text(options: CommandOptions, name: string): string {
  const value = options[name];
  return typeof value === 'string' ? value : '';
}

function within(name: string, value: number, least: number, most: number | null): number {
  if (value >= least && (most === null || value <= most)) return value;
  const from = formatBytes(least);
  throw usage(
    `${name} is out of range`,
    most === null ? `at least ${from}` : `from ${from} to ${formatBytes(most)}`,
  );
}

function usage(message: string, hint: string): GodwitError {
  return new GodwitError('USAGE_VALUE', message, { safe: 'nothing was started', hint });
}

function wholeMib(bytes: number): number {
  return Math.ceil(bytes / MIB) * MIB;
}

function refuseTooMuch(memoryBytes: number, availableBytes: number): void {
  if (memoryBytes * COPIES_OF_MEMORY <= availableBytes) return;
  throw usage(
    `two VMs of ${formatBytes(memoryBytes)} and a gateway do not fit the ${formatBytes(availableBytes)} that are free here`,
    `give the guest at most --memory ${Math.max(1, Math.floor(availableBytes / COPIES_OF_MEMORY / MIB))}M`,
  );
}

function hotOf(given: unknown, memoryBytes: number, linkBytesPerSecond: number): number {
  if (typeof given === 'string') {
    const bytes = parseSize(given);
    if (bytes >= 4096 && bytes <= memoryBytes) return bytes;
    throw usage(
      `--hot ${given} is no part of the guest's memory`,
      'name 4096 bytes or more, and less than --memory',
    );
  }
  const { hotSeconds, hotBytesMin } = DEMO_DEFAULTS;
  const bytes = wholeMib(Math.max(hotBytesMin, hotSeconds * linkBytesPerSecond));
  return Math.min(bytes, memoryBytes / 2);
}

function rateOf(given: unknown, hotBytes: number): number | null {
  if (given === 'max') return null;
  if (typeof given === 'string') return parseRate(given);
  return DEMO_DEFAULTS.hotTimesPerSecond * hotBytes;
}

function workloadOf(name: string): GuestWorkload {
  const found = GUEST_WORKLOADS.find((workload) => workload === name);
  if (found !== undefined) return found;
  throw usage(`there is no workload "${name.slice(0, 64)}"`, `one of ${GUEST_WORKLOADS.join(', ')}`);
}

function seedOf(given: string): number {
  const seed = Number(given);
  if (/^\d+$/.test(given) && seed <= SEED_MAX) return seed;
  throw usage(`--seed ${given.slice(0, 64)} is no seed`, `a whole number up to ${SEED_MAX}`);
}

/** Strategies that QEMU carries by itself: the lab sets it up for them, and no gateway is in between. */
const CARRIED_BY_QEMU: Readonly<Record<string, { baseline: Baseline; title: string }>> = {
  precopy: { baseline: 'qemu-precopy', title: 'plain pre-copy' },
  'precopy-relaxed': { baseline: 'qemu-precopy-relaxed', title: 'relaxed pre-copy' },
  'auto-converge': { baseline: 'qemu-auto-converge', title: 'plain auto-converge' },
};

function contestantOf(options: CommandOptions): Contestant {
  const strategy = strategyByName(text(options, 'strategy'));
  const settings = options['param'];
  const parameters = readParameters(strategy, Array.isArray(settings) ? settings.map(String) : []);
  const asked = parseDurationMs(text(options, 'downtimeLimit'));
  if (['gateway', 'qemu-postcopy'].includes(strategy.mechanism)) {
    const title = `godwit ${strategy.name}`;
    return { strategy, parameters, baseline: null, title, downtimeLimitMs: asked };
  }
  const carried = CARRIED_BY_QEMU[strategy.name];
  if (carried === undefined) {
    throw usage(
      `strategy ${strategy.name} cannot move a live VM here`,
      'godwit strategies shows what carries each; mp and frs work everywhere',
    );
  }
  const relaxed = carried.baseline === 'qemu-precopy-relaxed';
  const downtimeLimitMs = relaxed ? parameters['downtimeMs']! * 2 ** parameters['doublings']! : asked;
  return { strategy, parameters, ...carried, downtimeLimitMs };
}

export const PLAIN_PRECOPY: Pick<Contestant, 'title' | 'baseline'> = {
  title: 'plain pre-copy',
  baseline: 'qemu-precopy',
};

export interface BaselineTime {
  readonly timeLimitMs: number;
  /** What a cell of the lab would allow: max(60 s, 5 x RAM/B). */
  readonly cellTimeLimitMs: number;
}

export function baselineTime(memoryBytes: number, linkBytesPerSecond: number): BaselineTime {
  const cellTimeLimitMs = defaultTimeLimitMs(memoryBytes, linkBytesPerSecond);
  const shortMs = Math.ceil((BASELINE_FIRST_PASSES * memoryBytes * 1000) / linkBytesPerSecond);
  return { timeLimitMs: Math.min(cellTimeLimitMs, Math.max(BASELINE_MS_MAX, shortMs)), cellTimeLimitMs };
}
