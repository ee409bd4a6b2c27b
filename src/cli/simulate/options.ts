/**
 * What `godwit simulate` can be asked for, and the runs that follow from it. Not responsible for running them
 * (run.ts).
 */

import { readFileSync } from 'node:fs';
import type { Command } from 'commander';
import {
  errorMessage,
  formatBytes,
  GodwitError,
  MIB,
  parseDurationMs,
  parseRate,
  parseSize,
} from '../../base/index.ts';
import {
  COMMITTED_PROFILES,
  committedProfile,
  grainOf,
  type Profile,
  parseProfile,
  SIMULATION_DEFAULTS,
  type SimulationTask,
} from '../../simulator/index.ts';
import { type AnyStrategy, readParameters, strategies, strategyByName } from '../../strategy/index.ts';
import { type TraceSource, WORKLOADS, type WorkloadName, type WorkloadOptions } from '../../trace/index.ts';
import type { CommandOptions } from '../command.ts';

/**
 * The link carries the hot set in this time, and the guest writes it so often a second, as in `godwit demo`.
 */
const HOT_SECONDS = 1.6;
const HOT_BYTES_MIN = 4 * MIB;
const HOT_TIMES_PER_SECOND = 2.5;
const RUNS_MAX = 100_000;
const GRAIN_MAX = 1024;
const SEED_MAX = 0xffff_0000;
const BODIES = ['zero', 'text', 'random'] as const;

export function declareSimulationOptions(command: Command): void {
  command
    .option('--strategy <names>', 'one or several, with commas or repeated; "all" for every one', collect, [])
    .option('--param <name=value>', 'a parameter of the strategies that have it; repeatable', collect, [])
    .option('--workload <name>', `what the guest does: ${WORKLOADS.join(', ')}`, 'uniform')
    .option('--trace <file>', 'replay a recorded guest instead; each run meets it at another moment')
    .option('--trace-start <share>', 'how far into the trace the first run meets it, 0 to 1', '0')
    .option('--memory <size>', "the guest's memory", '1G')
    .option('--hot <size>', 'what the guest keeps writing (default: 1.6 s of link)')
    .option('--hot-at <size>', 'where the hot set begins', '0')
    .option('--fill <size>', 'memory that is not zero (default: all)')
    .option('--rate <rate|max>', 'how fast it writes (default: 2.5 times its hot set a second)')
    .option('--body <kind>', `contents of pages: ${BODIES.join(', ')}`)
    .option('--zipf <exponent>', 'exponent of the workload zipf', '0.99')
    .option('--busy <time>', 'for phased: how long it writes', '2s')
    .option('--quiet <time>', 'for phased: how long it rests', '2s')
    .option('--warm-up <time>', 'how long the guest has run when it is met', '0ms')
    .option('--link <rate>', 'what the link carries', '1Gbit')
    .option('--latency <time>', 'round trip of the link', '0.2ms')
    .option('--downtime-limit <time>', 'how long the VM may stand still', '300ms')
    .option('--strict', 'no rule makes a stop that is foretold to last longer; without a decision: cancelled')
    .option('--max-downtime <time>', 'the same with a bound of its own')
    .option(
      '--time-limit <time>',
      'a run that takes longer has failed (default: max(60 s, 5 x memory / link))',
    )
    .option('--gateway-memory <size>', 'cap on what the gateway holds', '8G')
    .option(
      '--arrangement <kind>',
      'single: a gateway at the source; paired: one at each end, which packs',
      'single',
    )
    .option(
      '--profile <name>',
      "what each end's threads carry: default, host-16, or a file that godwit lab profile wrote",
      'default',
    )
    .option('--grain <pages>', 'one simulated page stands for so many; auto: as many as do not show', '1')
    .option('--runs <count>', 'runs of each strategy, each with a seed of its own', '1')
    .option('--seed <number>', 'seed of the first run', '1')
    .option('--no-regret', 'do not look for the clairvoyant stop: about twice as fast')
    .option('--json', 'print one JSON object instead of a table');
}

export function collect(value: string, before: readonly string[]): string[] {
  return [...before, ...value.split(',').filter((part) => part !== '')];
}

const DEFAULT_STRATEGIES = ['adaptive', 'frs', 'mp', 'precopy', 'precopy-relaxed'];

/** Everything that was asked for, read once; the tasks follow strategy by strategy, run by run. */
export function readTasks(options: CommandOptions): SimulationTask[] {
  const chosen = strategiesOf(options['strategy'] as readonly string[]);
  const parameters = options['param'] as readonly string[];
  rejectUnusedParameters(chosen, parameters);
  const seedBase = count('seed', options['seed'], 0, SEED_MAX);
  const runs = count('runs', options['runs'], 1, RUNS_MAX);
  const shared = sharedOf(options, seedBase);
  return chosen.flatMap((strategy) =>
    Array.from({ length: runs }, (_, run) => ({
      ...shared,
      trace: shared.trace && traceAt(shared.trace.file, shared.trace.startShare + run / runs),
      key: `${shared.workload.id}/${strategy.name}/${run}`,
      run,
      seed: seedBase + run,
      strategy: {
        id: strategy.name,
        name: strategy.name,
        parameters: parametersOf(strategy, parameters),
        relaxedFactor: 1,
      },
    })),
  );
}

/** A trace begins again when it is over. */
export function traceAt(file: string, startShare: number): TraceSource {
  return { file, startShare: startShare % 1 };
}

function sharedOf(
  options: CommandOptions,
  seedBase: number,
): Omit<SimulationTask, 'key' | 'run' | 'seed' | 'strategy'> {
  const file = text(options, 'trace');
  const startShare = number('trace-start', options['traceStart'] ?? 0, 0, 1);
  const linkBytesPerSecond = parseRate(String(options['link']));
  const workload = workloadOf(options, linkBytesPerSecond);
  const timeLimit = text(options, 'timeLimit');
  return {
    seedBase,
    workload: { id: file === null ? workload.workload! : 'trace', options: workload },
    trace: file === null ? null : { file, startShare },
    ...simulationOptionsOf(options),
    memoryBytes: parseSize(String(options['memory'])),
    linkBytesPerSecond,
    ...grainOption(options, parseSize(String(options['memory'])), linkBytesPerSecond),
    downtimeLimitMs: parseDurationMs(String(options['downtimeLimit'])),
    ...boundOf(options),
    timeLimitMs: timeLimit === null ? null : parseDurationMs(timeLimit),
  };
}

function boundOf({ strict, maxDowntime }: CommandOptions): Pick<SimulationTask, 'downtimeMsBound'> {
  if (strict === true) return { downtimeMsBound: 'limit' };
  return maxDowntime === undefined ? {} : { downtimeMsBound: parseDurationMs(String(maxDowntime)) };
}

/** What a plan leaves open: how the gateway is set up, and what is derived. */
export function simulationOptionsOf(
  options: CommandOptions,
): Pick<SimulationTask, 'roundTripMs' | 'gatewayMemoryBytesMax' | 'arrangement' | 'regret' | 'profile'> {
  return {
    profile: profileOf(String(options['profile'] ?? 'default')),
    roundTripMs: parseDurationMs(String(options['latency'] ?? `${SIMULATION_DEFAULTS.roundTripMs}ms`)),
    gatewayMemoryBytesMax: parseSize(String(options['gatewayMemory'] ?? '8GiB')),
    arrangement: oneOf('arrangement', String(options['arrangement'] ?? 'single'), [
      'single',
      'paired',
    ] as const),
    regret: options['regret'] !== false,
  };
}

/** A recorded guest is replayed page by page. */
export function grainOption(
  options: CommandOptions,
  memoryBytes: number,
  linkBytesPerSecond: number,
): Pick<SimulationTask, 'grain'> {
  const given = String(options['grain'] ?? 1);
  if (given === 'auto') return { grain: grainOf(memoryBytes, linkBytesPerSecond) };
  const grain = count('grain', given, 1, GRAIN_MAX);
  return grain === 1 ? {} : { grain };
}

/** One of the committed profiles, or a file. Errors: PROFILE_INVALID. */
function profileOf(name: string): Profile {
  if (COMMITTED_PROFILES.some((known) => known === name)) return committedProfile(name);
  let text: string;
  try {
    text = readFileSync(name, 'utf8');
  } catch (cause) {
    throw new GodwitError('PROFILE_INVALID', `--profile ${name.slice(0, 64)}: ${errorMessage(cause)}`, {
      cause,
      hint: `a file, or one of ${COMMITTED_PROFILES.join(', ')}`,
      safe: 'nothing was started',
    });
  }
  return parseProfile(text, name.slice(0, 64));
}

function strategiesOf(names: readonly string[]): AnyStrategy[] {
  const asked = names.length === 0 ? DEFAULT_STRATEGIES : names;
  const all = asked.includes('all') ? strategies.map(({ name }) => name) : asked;
  return [...new Set(all)].map(strategyByName);
}

function parametersOf(strategy: AnyStrategy, settings: readonly string[]): Record<string, number> {
  const own = settings.filter((setting) => hasParameter(strategy, setting));
  const values = readParameters(strategy, own);
  return Object.fromEntries(own.map((setting) => [nameOf(setting), values[nameOf(setting)]!]));
}

function rejectUnusedParameters(chosen: readonly AnyStrategy[], settings: readonly string[]): void {
  for (const setting of settings) {
    if (chosen.some((strategy) => hasParameter(strategy, setting))) continue;
    throw new GodwitError(
      'PARAMETER_UNKNOWN',
      `none of the strategies has a parameter "${nameOf(setting).slice(0, 64)}"`,
      {
        hint: 'godwit strategies NAME lists them',
        safe: 'nothing was started',
      },
    );
  }
}

function nameOf(setting: string): string {
  return setting.split('=', 1)[0]!;
}

function hasParameter(strategy: AnyStrategy, setting: string): boolean {
  return strategy.parameters.some(({ name }) => name === nameOf(setting));
}

/**
 * The guest's arguments; those left out follow from the link, so that the default is a guest that pre-copy
 * cannot move.
 */
export function workloadOf(options: CommandOptions, linkBytesPerSecond: number): Partial<WorkloadOptions> {
  const workload = oneOf('workload', String(options['workload']), WORKLOADS);
  const memoryBytes = parseSize(String(options['memory']));
  const hot = text(options, 'hot');
  const fill = text(options, 'fill');
  const body = text(options, 'body');
  const hotBytes = hot === null ? defaultHot(workload, memoryBytes, linkBytesPerSecond) : parseSize(hot);
  return {
    workload,
    hotBytes,
    hotAtBytes: parseSize(String(options['hotAt'] ?? 0)),
    fillBytes: fill === null ? null : parseSize(fill),
    rateBytesPerSecond: rateOf(text(options, 'rate'), workload, hotBytes),
    body: body === null ? null : oneOf('body', body, BODIES),
    zipfExponent: number('zipf', options['zipf'], 0, 2),
    busyMs: parseDurationMs(String(options['busy'] ?? '2s')),
    quietMs: parseDurationMs(String(options['quiet'] ?? '2s')),
    startMs: parseDurationMs(String(options['warmUp'] ?? 0)),
  };
}

/** Compositions have a shape and a rate of their own. */
const COMPOSED: readonly WorkloadName[] = ['web', 'stream', 'memory-intensive'];

function defaultHot(workload: WorkloadName, memoryBytes: number, linkBytesPerSecond: number): number | null {
  if (COMPOSED.includes(workload)) return null;
  const hot = Math.max(HOT_BYTES_MIN, Math.min(memoryBytes / 2, HOT_SECONDS * linkBytesPerSecond));
  return Math.floor(hot / 4096) * 4096;
}

function rateOf(given: string | null, workload: WorkloadName, hotBytes: number | null): number | null {
  if (given === 'max') return null;
  if (given !== null) return parseRate(given);
  return COMPOSED.includes(workload) || hotBytes === null
    ? null
    : Math.round(hotBytes * HOT_TIMES_PER_SECOND);
}

function text(options: CommandOptions, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}

function oneOf<const Value extends string>(name: string, value: string, allowed: readonly Value[]): Value {
  const found = allowed.find((candidate) => candidate === value);
  if (found !== undefined) return found;
  throw new GodwitError('USAGE_VALUE', `--${name} ${value.slice(0, 64)} is not known`, {
    hint: `one of ${allowed.join(', ')}`,
    safe: 'nothing was started',
  });
}

function number(name: string, value: unknown, least: number, most: number): number {
  const parsed = Number(value);
  if (parsed >= least && parsed <= most) return parsed;
  throw new GodwitError('USAGE_VALUE', `--${name} ${String(value).slice(0, 64)} is out of range`, {
    hint: `${least} to ${most}`,
    safe: 'nothing was started',
  });
}

export function count(name: string, value: unknown, least: number, most: number): number {
  const parsed = number(name, value, least, most);
  if (Number.isInteger(parsed)) return parsed;
  throw new GodwitError('USAGE_VALUE', `--${name} takes a whole number`, { safe: 'nothing was started' });
}

/** For people: "uniform, 1.0 GiB, 200 MB hot". */
export function describeTask(task: SimulationTask): string {
  const { options } = task.workload;
  const hot = options.hotBytes == null ? '' : `, ${formatBytes(options.hotBytes)} hot`;
  return task.trace === null
    ? `${task.workload.id}, ${formatBytes(task.memoryBytes)}${hot}`
    : task.trace.file;
}
