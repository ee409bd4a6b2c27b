/**
 * Plan files: strategies x workloads x runs on one link, as YAML. Reads, checks and counts them.
 * Not responsible for running them (run-plan.ts).
 */

import { createHash } from 'node:crypto';
import { parse as parseYaml } from 'yaml';
import { z } from 'zod';
import { errorMessage, parseRate, parseSize } from '../../base/index.ts';
import type { Arrangement } from '../../vm/index.ts';
import { labError } from '../errors.ts';
import { GUEST_BODIES, GUEST_WORKLOADS, type GuestOptions } from '../guest/index.ts';
import { type LinuxWorkload, linuxFields, linuxWorkload } from './linux-workload.ts';
import { duration, measure, name } from './plan-fields.ts';

const PLAN_SCHEMA = 'godwit.plan/1';
const PLAN_BYTES_MAX = 256 * 1024;
const RUNS_MAX = 1000;
const ENTRIES_MAX = 100;
const PATH_CHARS_MAX = 4096;
const TIME_LIMIT_MS_MIN = 60_000;
const TIME_LIMIT_FACTOR = 5;

export const EXPECTATIONS = ['success', 'failure'] as const;
export type Expectation = (typeof EXPECTATIONS)[number];

const size = measure(parseSize);
const rate = measure(parseRate);
const seed = z.number().int().min(0).max(0xffff_0000);

const strategySchema = z.strictObject({
  /** In tables; default: the strategy's name. */
  id: name.optional(),
  name,
  parameters: z.record(z.string(), z.number()).default({}),
  downtimeLimit: duration.nullable().default(null),
  /** `qemu-precopy-relaxed` only: this many times the calibrated limit. */
  relaxedFactor: z.number().min(1).max(64).default(1),
  /** What the plan sets out to show: every run of it succeeds, or none does. */
  expect: z.enum(EXPECTATIONS).nullable().default(null),
  /** godwit's strategies only: a gateway at the source alone, or one at each end. Default single. */
  arrangement: z.enum(['single', 'paired']).optional(),
});

const workloadSchema = z.strictObject({
  id: name.optional(),
  workload: z.enum(GUEST_WORKLOADS).optional(),
  /** A Linux guest that runs this program, in place of the bare guest. */
  ...linuxFields,
  /**
   * A recorded guest instead, which only the simulator can replay. The path is relative to the plan's folder.
   */
  trace: z.string().min(1).max(PATH_CHARS_MAX).optional(),
  body: z.enum(GUEST_BODIES).optional(),
  fill: size.optional(),
  hot: size.optional(),
  hotAt: size.optional(),
  rate: rate.optional(),
  zipf: z.number().min(0).max(2).optional(),
  busy: duration.optional(),
  quiet: duration.optional(),
});

function faultOf({ id, workload, trace, program, ...rest }: z.infer<typeof workloadSchema>): string | null {
  if ([workload, trace, program].filter((kind) => kind !== undefined).length !== 1) {
    return 'name one of a workload, a program or a trace';
  }
  const { memory, vcpus, machine, stress, ...bare } = rest;
  const linux = { memory, vcpus, machine, stress };
  const given = (fields: object) => Object.values(fields).some((field) => field !== undefined);
  if (program === undefined && given(linux)) return 'memory, vcpus, machine and stress go with a program';
  if (program !== undefined && given(bare))
    return 'a program writes as it does: give no body, fill, hot or rate';
  if (trace === undefined) return null;
  if (id === undefined) return 'a trace needs an id';
  return given(bare) ? 'a recorded guest writes as it wrote: give id and trace only' : null;
}

const planSchema = z
  .strictObject({
    schema: z.literal(PLAN_SCHEMA),
    name,
    about: z.string().default(''),
    /** Run r uses seed + r for every strategy, so that a run compares the same guest. */
    seed: seed.default(1),
    runs: z.number().int().min(1).max(RUNS_MAX),
    link: rate,
    memory: size,
    machine: name.default('pc'),
    accelerator: z.enum(['tcg', 'kvm']).default('tcg'),
    disk: z.enum(['none', 'plain', 'iothread']).default('none'),
    furnished: z.boolean().default(false),
    /**
     * At the moment of COMMIT both VMs' RAM is compared from outside. It lengthens downtimes, which then are
     * no measurements.
     */
    compareRam: z.literal(true).optional(),
    warmUp: duration.default(2000),
    /** Default: max(60 s, 5 x RAM / link), the same for every strategy. */
    timeLimit: duration.optional(),
    calibrationRuns: z.number().int().min(1).max(20).default(5),
    strategies: z.array(strategySchema).min(1).max(ENTRIES_MAX),
    workloads: z.array(workloadSchema).min(1).max(ENTRIES_MAX),
  })
  .superRefine((plan, context) => {
    for (const list of ['strategies', 'workloads'] as const) {
      const ids = plan[list].map(idOf);
      const twice = ids.find((id, index) => ids.indexOf(id) !== index);
      if (twice !== undefined) {
        context.addIssue({
          code: 'custom',
          path: [list],
          message: `"${twice}" is there twice: give one an id`,
        });
      }
    }
    for (const [index, workload] of plan.workloads.entries()) {
      const fault = faultOf(workload);
      if (fault !== null) context.addIssue({ code: 'custom', path: ['workloads', index], message: fault });
    }
  });

export interface PlanStrategy {
  readonly id: string;
  readonly name: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly downtimeLimitMs: number | null;
  readonly relaxedFactor: number;
  /** Null: the plan only measures it. */
  readonly expected: Expectation | null;
  /** Default `single`. */
  readonly arrangement?: Arrangement;
}

export interface PlanWorkload {
  readonly id: string;
  readonly guest: Partial<GuestOptions>;
  /** The recording that the simulator replays instead; null for a guest of the lab. */
  readonly trace?: string;
  /** A Linux guest instead. */
  readonly linux?: LinuxWorkload;
}

export interface Plan {
  readonly name: string;
  readonly about: string;
  readonly seed: number;
  readonly runs: number;
  readonly linkBytesPerSecond: number;
  readonly memoryBytes: number;
  readonly machine: string;
  readonly accelerator: 'tcg' | 'kvm';
  readonly disk: 'none' | 'plain' | 'iothread';
  readonly furnished: boolean;
  readonly compareRam?: true | undefined;
  readonly warmUpMs: number;
  readonly timeLimitMs: number;
  readonly calibrationRuns: number;
  readonly strategies: readonly PlanStrategy[];
  readonly workloads: readonly PlanWorkload[];
  /** A hash over everything above; results with another hash are refused. */
  readonly hash: string;
}

export interface Cell {
  /** `workload/strategy/run`, unique in its plan. */
  readonly key: string;
  readonly workload: PlanWorkload;
  readonly strategy: PlanStrategy;
  readonly run: number;
  readonly seed: number;
}

/** Errors: LAB_PLAN with a line for each fault. */
export function parsePlan(text: string): Plan {
  if (text.length > PLAN_BYTES_MAX) throw labError('LAB_PLAN', `a plan has at most ${PLAN_BYTES_MAX} bytes`);
  let document: unknown;
  try {
    document = parseYaml(text);
  } catch (cause) {
    throw labError('LAB_PLAN', `the plan is no YAML: ${errorMessage(cause)}`, { cause });
  }
  const parsed = planSchema.safeParse(document);
  if (!parsed.success) throw labError('LAB_PLAN', `the plan is wrong:\n${z.prettifyError(parsed.error)}`);
  const { link, memory, warmUp, timeLimit, schema: _, ...rest } = parsed.data;
  const plan = {
    ...rest,
    linkBytesPerSecond: link,
    memoryBytes: memory,
    warmUpMs: warmUp,
    timeLimitMs: timeLimit ?? defaultTimeLimitMs(memory, link),
    strategies: parsed.data.strategies.map((strategy) => ({
      id: idOf(strategy),
      name: strategy.name,
      parameters: strategy.parameters,
      downtimeLimitMs: strategy.downtimeLimit,
      relaxedFactor: strategy.relaxedFactor,
      expected: strategy.expect,
      ...(strategy.arrangement === undefined ? {} : { arrangement: strategy.arrangement }),
    })),
    workloads: parsed.data.workloads.map(({ trace, ...workload }) => ({
      id: idOf(workload),
      guest: guestOf(workload),
      ...(trace === undefined ? {} : { trace }),
      ...(workload.program === undefined ? {} : { linux: linuxWorkload(workload.program, workload) }),
    })),
  };
  return { ...plan, hash: createHash('sha256').update(JSON.stringify(plan)).digest('hex').slice(0, 16) };
}

export function defaultTimeLimitMs(memoryBytes: number, linkBytesPerSecond: number): number {
  return Math.max(
    TIME_LIMIT_MS_MIN,
    Math.ceil((TIME_LIMIT_FACTOR * memoryBytes * 1000) / linkBytesPerSecond),
  );
}

/** The plan as it is for one workload: a Linux guest has memory and a machine of its own. */
export function planFor(plan: Plan, { linux }: PlanWorkload): Plan {
  if (linux === undefined) return plan;
  const { memoryBytes, machine } = linux;
  const timeLimitMs = Math.max(plan.timeLimitMs, defaultTimeLimitMs(memoryBytes, plan.linkBytesPerSecond));
  return { ...plan, memoryBytes, machine, timeLimitMs };
}

/**
 * Strategies alternate, and each run begins with another one, so that a drift of the machine meets all alike.
 */
export function cellsOf(plan: Plan): Cell[] {
  const cells: Cell[] = [];
  for (let run = 0; run < plan.runs; run++) {
    for (const workload of plan.workloads) {
      for (let turn = 0; turn < plan.strategies.length; turn++) {
        const strategy = plan.strategies[(turn + run) % plan.strategies.length]!;
        cells.push({
          key: `${workload.id}/${strategy.id}/${run}`,
          workload,
          strategy,
          run,
          seed: plan.seed + run,
        });
      }
    }
  }
  return cells;
}

/** `name` is a workload, a strategy, or both, or with a run, joined by slashes, as in a cell's key. */
export function isNamed(cell: Pick<Cell, 'key'>, name: string): boolean {
  return `/${cell.key}/`.includes(`/${name}/`);
}

function idOf(entry: {
  id?: string | undefined;
  name?: string | undefined;
  workload?: string | undefined;
  program?: string | undefined;
}): string {
  return entry.id ?? entry.name ?? entry.workload ?? entry.program ?? '';
}

function guestOf(workload: z.infer<typeof workloadSchema>): Partial<GuestOptions> {
  const { body, fill, hot, hotAt, rate: writeRate, zipf, busy, quiet } = workload;
  return {
    ...(workload.workload === undefined ? {} : { workload: workload.workload }),
    ...(body === undefined ? {} : { body }),
    ...(fill === undefined ? {} : { fillBytes: fill }),
    ...(hot === undefined ? {} : { hotBytes: hot }),
    ...(hotAt === undefined ? {} : { hotAtBytes: hotAt }),
    ...(writeRate === undefined ? {} : { rateBytesPerSecond: writeRate }),
    ...(zipf === undefined ? {} : { zipfExponent: zipf }),
    ...(busy === undefined ? {} : { busyMs: busy }),
    ...(quiet === undefined ? {} : { quietMs: quiet }),
  };
}
