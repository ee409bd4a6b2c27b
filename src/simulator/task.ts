/**
 * One run as plain data, so that it can be written to a file, sent to another thread, and repeated from a
 * command line.
 * Not responsible for which runs there are.
 */

import { errorMessage, formatBytes, GIB, GodwitError, MIB } from '../base/index.ts';
import { type AnyStrategy, readParameters, strategyByName } from '../strategy/index.ts';
import { type GuestModel, makeGuest, type TraceSource, type WorkloadOptions } from '../trace/index.ts';
import { type Arrangement, PAGE_SIZE_BYTES } from '../vm/index.ts';
import { coarser, finer } from './grain.ts';
import type { Profile } from './pipeline/profile.ts';
import { simulate } from './run.ts';
import type { Sample } from './timeline.ts';
import { SIMULATION_DEFAULTS, type SimulationOptions, type SimulationResult } from './types.ts';

export interface SimulationTask {
  /** Unique in its series: `workload/strategy/run`, with the ranges before it. */
  readonly key: string;
  readonly run: number;
  readonly seed: number;
  /** Seed of run 0: the relaxed limit is calibrated from there on. */
  readonly seedBase: number;
  readonly strategy: {
    readonly id: string;
    readonly name: string;
    /** Set by somebody; the strategy's defaults fill the rest. */
    readonly parameters: Readonly<Record<string, number>>;
    /** precopy-relaxed: this many times the calibrated limit. */
    readonly relaxedFactor: number;
  };
  readonly workload: { readonly id: string; readonly options: Partial<WorkloadOptions> };
  /** Replays this instead; null: the synthetic workload. */
  readonly trace: TraceSource | null;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly roundTripMs: number;
  readonly downtimeLimitMs: number;
  /** See Limits. Absent: none. */
  readonly downtimeMsBound?: number | 'limit';
  readonly timeLimitMs: number | null;
  readonly gatewayMemoryBytesMax: number;
  readonly arrangement: Arrangement;
  /** Absent: the committed one of the machine that the measured results are from. */
  readonly profile?: Profile;
  /** One simulated page stands for so many (grain.ts). Absent: 1. */
  readonly grain?: number;
  readonly regret: boolean;
}

export interface TaskResult extends SimulationResult {
  readonly key: string;
  readonly strategy: string;
  readonly workload: string;
  readonly run: number;
  readonly seed: number;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly roundTripMs: number;
  readonly downtimeLimitMs: number;
  /** All of the strategy's, the calibrated ones too. */
  readonly parameters: Readonly<Record<string, number>>;
}

/** Loads what a task replays; given by whoever may read files. */
export type LoadTrace = (source: TraceSource) => GuestModel;

/** Runs a task. Errors: SIMULATION_INVARIANT with the command that repeats it. */
export function runTask(
  task: SimulationTask,
  loadTrace: LoadTrace,
  onSample?: (sample: Sample) => void,
): TaskResult {
  const settings = settingsOf(task, loadTrace);
  const options = optionsOf(task, settings, loadTrace);
  const grain = task.grain ?? 1;
  const result = finer(
    guarded(settledTask(task, settings), () => simulate(options, onSample)),
    grain,
  );
  return {
    key: task.key,
    strategy: task.strategy.id,
    workload: task.workload.id,
    run: task.run,
    seed: task.seed,
    memoryBytes: options.guest.pageCount * PAGE_SIZE_BYTES * grain,
    linkBytesPerSecond: task.linkBytesPerSecond,
    roundTripMs: task.roundTripMs,
    downtimeLimitMs: task.downtimeLimitMs,
    parameters: options.parameters,
    ...result,
  };
}

function guarded(task: SimulationTask, run: () => SimulationResult): SimulationResult {
  try {
    return run();
  } catch (cause) {
    throw new GodwitError('SIMULATION_INVARIANT', `${task.key}, seed ${task.seed}: ${errorMessage(cause)}`, {
      cause,
      hint: `repeat it with: ${replayCommand(task)}`,
      fields: { key: task.key, seed: task.seed },
    });
  }
}

function optionsOf(
  whole: SimulationTask,
  parameters: Readonly<Record<string, number>>,
  loadTrace: LoadTrace,
): SimulationOptions {
  const profile = whole.profile ?? SIMULATION_DEFAULTS.profile;
  const grain = whole.grain ?? 1;
  const task = coarser(whole, grain, profile);
  const strategy = strategyByName(task.strategy.name);
  const settings = Object.entries(parameters).map(([name, value]) => `${name}=${value}`);
  return {
    strategy,
    parameters: readParameters(strategy, settings),
    guest:
      task.trace === null
        ? makeGuest(task.memoryBytes / PAGE_SIZE_BYTES, { ...task.workload.options, seed: task.seed })
        : loadTrace(task.trace),
    linkBytesPerSecond: task.linkBytesPerSecond,
    roundTripMs: task.roundTripMs,
    limits: limitsOf(task),
    timeLimitMs: task.timeLimitMs,
    gatewayMemoryBytesMax: task.gatewayMemoryBytesMax,
    arrangement: task.arrangement,
    profile: task.profile,
    grain,
    regret: task.regret,
  };
}

/** As `godwit migrate` reads them. */
function limitsOf({ downtimeLimitMs, downtimeMsBound }: SimulationTask): SimulationOptions['limits'] {
  const limits = { ...SIMULATION_DEFAULTS.limits, downtimeMsMax: downtimeLimitMs };
  return downtimeMsBound === undefined ? limits : { ...limits, downtimeMsBound, onTimeout: 'cancel' };
}

const CALIBRATION_RUNS = 5;
const DOUBLINGS_MAX = 12;
/**
 * Simulated checkpoints end after this many epochs, ten seconds of them; else the standby would be kept for
 * ever.
 */
const CHECKPOINT_EPOCHS = 400;

const calibrated = new Map<string, number>();

/** The task's parameters, and those that a simulation chooses where the task does not set them. */
function settingsOf(task: SimulationTask, loadTrace: LoadTrace): Readonly<Record<string, number>> {
  const { name, parameters, relaxedFactor } = task.strategy;
  if (name === 'checkpoint' && parameters['epochs'] === undefined) {
    return { ...parameters, epochs: CHECKPOINT_EPOCHS };
  }
  if (name !== 'precopy-relaxed' || parameters['doublings'] !== undefined) return parameters;
  const { key: _key, run: _run, seed: _seed, regret: _regret, ...rest } = task;
  const trace = task.trace?.file ?? null;
  const cell = JSON.stringify({ ...rest, trace, strategy: { ...task.strategy, id: '', relaxedFactor: 1 } });
  const doublings = calibrated.get(cell) ?? calibrate(task, loadTrace);
  calibrated.set(cell, doublings);
  const downtimeMs = (parameters['downtimeMs'] ?? 300) * relaxedFactor;
  return { ...parameters, downtimeMs, doublings };
}

/**
 * The smallest n for which 5 of 5 runs end in time with a limit of 300 ms x 2^n, as the lab calibrates it.
 */
function calibrate(task: SimulationTask, loadTrace: LoadTrace): number {
  for (let doublings = 0; doublings < DOUBLINGS_MAX; doublings++) {
    let ended = 0;
    for (let run = 0; run < CALIBRATION_RUNS; run++) {
      const trace = task.trace && { ...task.trace, startShare: run / CALIBRATION_RUNS };
      const settings = { ...task.strategy.parameters, doublings };
      const trial = { ...task, trace, seed: task.seedBase + run, regret: false };
      const options = optionsOf(trial, settings, loadTrace);
      if (!guarded(settledTask(trial, settings), () => simulate(options)).success) break;
      ended++;
    }
    if (ended === CALIBRATION_RUNS) return doublings;
  }
  return DOUBLINGS_MAX;
}

/**
 * The same run with its calibrated parameters written down, so that it can be repeated without its series.
 */
function settledTask(task: SimulationTask, parameters: Readonly<Record<string, number>>): SimulationTask {
  return { ...task, strategy: { ...task.strategy, parameters, relaxedFactor: 1 } };
}

/** The command that repeats this run alone. */
export function replayCommand(task: SimulationTask): string {
  const { options } = task.workload;
  const words = ['godwit simulate', `--strategy ${task.strategy.name}`];
  for (const [name, value] of Object.entries(task.strategy.parameters))
    words.push(`--param ${name}=${value}`);
  if (task.trace !== null) {
    words.push(`--trace ${shellWord(task.trace.file)}`, `--trace-start ${task.trace.startShare}`);
  } else {
    words.push(`--workload ${options.workload ?? 'idle'}`, `--memory ${bytesWord(task.memoryBytes)}`);
    if (options.hotBytes != null) words.push(`--hot ${bytesWord(options.hotBytes)}`);
    words.push(`--rate ${options.rateBytesPerSecond == null ? 'max' : `${options.rateBytesPerSecond}B/s`}`);
    for (const [flag, value] of Object.entries(extraFlags(options))) words.push(`--${flag} ${value}`);
  }
  words.push(
    `--link ${task.linkBytesPerSecond}B/s`,
    `--latency ${task.roundTripMs}ms`,
    `--downtime-limit ${task.downtimeLimitMs}ms`,
    `--gateway-memory ${bytesWord(task.gatewayMemoryBytesMax)}`,
    `--arrangement ${task.arrangement}`,
  );
  if (task.downtimeMsBound === 'limit') words.push('--strict');
  else if (task.downtimeMsBound !== undefined) words.push(`--max-downtime ${task.downtimeMsBound}ms`);
  if (task.timeLimitMs !== null) words.push(`--time-limit ${task.timeLimitMs}ms`);
  if (task.profile !== undefined) words.push(`--profile ${shellWord(task.profile.name)}`);
  if (task.grain !== undefined) words.push(`--grain ${task.grain}`);
  if (!task.regret) words.push('--no-regret');
  return [...words, `--runs 1 --seed ${task.seed}`].join(' ');
}

function shellWord(text: string): string {
  return /^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}

function extraFlags(options: Partial<WorkloadOptions>): Readonly<Record<string, string>> {
  const { body, fillBytes, hotAtBytes, zipfExponent, busyMs, quietMs, startMs } = options;
  return {
    ...(body == null ? {} : { body }),
    ...(fillBytes == null ? {} : { fill: bytesWord(fillBytes) }),
    ...(hotAtBytes ? { 'hot-at': bytesWord(hotAtBytes) } : {}),
    ...(zipfExponent === undefined ? {} : { zipf: String(zipfExponent) }),
    ...(busyMs === undefined ? {} : { busy: `${busyMs}ms` }),
    ...(quietMs === undefined ? {} : { quiet: `${quietMs}ms` }),
    ...(startMs ? { 'warm-up': `${startMs}ms` } : {}),
  };
}

function bytesWord(sizeBytes: number): string {
  for (const [unit, letter] of [
    [GIB, 'G'],
    [MIB, 'M'],
  ] as const) {
    if (sizeBytes >= unit && sizeBytes % unit === 0) return `${sizeBytes / unit}${letter}`;
  }
  return String(sizeBytes);
}

/** Errors: USAGE_VALUE for memory that is no whole number of pages, or a link that carries nothing. */
export function checkTask(task: SimulationTask): void {
  const strategy: AnyStrategy = strategyByName(task.strategy.name);
  readParameters(
    strategy,
    Object.entries(task.strategy.parameters).map(([name, value]) => `${name}=${value}`),
  );
  const pages = task.memoryBytes / PAGE_SIZE_BYTES;
  if (!Number.isInteger(pages) || pages < MEMORY_PAGES_MIN || task.memoryBytes > MEMORY_BYTES_MAX) {
    throw new GodwitError(
      'USAGE_VALUE',
      `a simulated guest cannot have ${task.memoryBytes} bytes of memory`,
      {
        hint: `whole pages of ${PAGE_SIZE_BYTES} bytes, ${formatBytes(MEMORY_PAGES_MIN * PAGE_SIZE_BYTES)} to ${formatBytes(MEMORY_BYTES_MAX)}`,
      },
    );
  }
  if (!(task.linkBytesPerSecond >= LINK_MIN && task.roundTripMs >= 0)) {
    throw new GodwitError(
      'USAGE_VALUE',
      `a link of ${task.linkBytesPerSecond} bytes a second carries no VM`,
      {
        hint: `at least ${LINK_MIN} bytes a second`,
      },
    );
  }
}

const MEMORY_PAGES_MIN = 1024;
const MEMORY_BYTES_MAX = 2048 * GIB;
const LINK_MIN = 10_000;
