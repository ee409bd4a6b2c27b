/**
 * Runs a plan cell by cell, one VM pair at a time, and goes on where an earlier sitting stopped.
 * Not responsible for a single run (cell.ts) nor for tables (report.ts).
 */

import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { labError } from '../errors.ts';
import { withMachineLock } from '../machine/machine-lock.ts';
import { coreCount, pinSelf } from '../machine/pinning.ts';
import { runCommand } from '../machine/processes.ts';
import { findQemu } from '../machine/vm.ts';
import { type Network, openNetwork } from '../network/network.ts';
import { appendResult, type Provenance, type RunRecord, resumeResults } from '../report/results.ts';
import { DOWNTIME_LIMIT_MS_DEFAULT } from './baseline.ts';
import { type CellStage, runCell } from './cell.ts';
import { isBaseline, type Migrator } from './contestant.ts';
import { missingLinux } from './linux-workload.ts';
import { type Cell, cellsOf, isNamed, type Plan, type PlanStrategy, planFor } from './plan.ts';

const RELAXED = 'qemu-precopy-relaxed';

export interface RunPlanOptions {
  readonly plan: Plan;
  /** JSON lines; read to resume, appended to. */
  readonly resultsPath: string;
  /** Null for a strategy that nobody carries; that is found out before the first run. */
  readonly migratorOf: (strategy: PlanStrategy) => Migrator | null;
  /** Only cells with one of these names (`isNamed`). Default: all. */
  readonly only?: readonly string[];
  /** Taken for each run, calibration included. Default: none. */
  readonly lockPath?: string | null;
  /** A folder for dirty-page traces of the measured runs, one a run, named by its cell. Default: none. */
  readonly recordFolder?: string | null;
  readonly onEvent?: (event: PlanEvent) => void;
  readonly signal?: AbortSignal;
}

export type PlanEvent =
  | { readonly kind: 'start'; readonly cells: number; readonly done: number; readonly leftMs: number }
  | { readonly kind: 'note'; readonly text: string }
  | { readonly kind: 'waiting'; readonly lockPath: string }
  | { readonly kind: 'cell'; readonly cell: Cell; readonly index: number; readonly cells: number }
  | { readonly kind: 'stage'; readonly stage: CellStage }
  | { readonly kind: 'result'; readonly record: RunRecord; readonly done: number; readonly leftMs: number };

// Boot, dirty rate, verification and checks take this long beside the migration itself.
const CELL_OVERHEAD_MS = 8000;
/** The expected length of a migration, in passes, until the strategy has run once. */
const PASSES_EXPECTED = 1.5;
/** 300 ms x 2^13 is 41 minutes: QEMU's own maximum is 2,000 s. */
const RELAXED_STEPS_MAX = 12;

/** The longest that a sitting takes, without calibration: every cell uses up its time limit. */
export function planCostMsMax(plan: Plan): number {
  return cellsOf(plan).reduce(
    (sum, { workload }) => sum + planFor(plan, workload).timeLimitMs + plan.warmUpMs + CELL_OVERHEAD_MS,
    0,
  );
}

/**
 * Returns every result of the plan, earlier sittings included. Errors: LAB_PLAN, LAB_RESULTS, and what
 * runCell throws.
 */
export async function runPlan(options: RunPlanOptions): Promise<readonly RunRecord[]> {
  const { plan, resultsPath } = options;
  const recorded = plan.workloads.find(({ trace }) => trace !== undefined);
  if (recorded) {
    throw labError('LAB_PLAN', `${recorded.id} is a recorded guest: only the simulator can replay it`, {
      hint: 'godwit simulate sweep PLAN',
    });
  }
  for (const strategy of plan.strategies) {
    if (!isBaseline(strategy.name) && options.migratorOf(strategy) === null) {
      throw labError('LAB_PLAN', `the plan names a strategy that nobody carries: ${strategy.name}`);
    }
  }
  for (const name of options.only ?? []) {
    if (!cellsOf(plan).some((cell) => isNamed(cell, name))) {
      throw labError('LAB_PLAN', `nothing in the plan is named "${name}"`);
    }
  }
  mkdirSync(dirname(resultsPath), { recursive: true });
  const records = resumeResults(resultsPath);
  if (records.some((record) => record.planHash !== plan.hash)) {
    throw labError('LAB_RESULTS', `${resultsPath} holds results of another plan`, {
      hint: 'name another file, or restore the plan as it was',
    });
  }
  await pinSelf();
  const network = await openNetwork({ linkBytesPerSecond: plan.linkBytesPerSecond });
  try {
    const provenance = await provenanceOf(plan, network);
    return await new Sitting(options, network, provenance, records).run();
  } finally {
    await network.close();
  }
}

class Sitting {
  readonly #options: RunPlanOptions;
  readonly #network: Network;
  readonly #provenance: Provenance;
  readonly #records: RunRecord[];
  readonly #durationsMs = new Map<string, number>();

  constructor(options: RunPlanOptions, network: Network, provenance: Provenance, records: RunRecord[]) {
    this.#options = options;
    this.#network = network;
    this.#provenance = provenance;
    this.#records = records;
  }

  async run(): Promise<readonly RunRecord[]> {
    const cells = await this.#cells();
    const left = cells.filter((cell) => !this.#has('run', cell.key));
    const done = cells.length - left.length;
    this.#tell({ kind: 'start', cells: cells.length, done, leftMs: this.#expectedOf(left) });
    if (this.#network.note !== null) this.#tell({ kind: 'note', text: this.#network.note });
    for (const [index, cell] of left.entries()) {
      this.#options.signal?.throwIfAborted();
      const downtimeLimitMs = await this.#downtimeLimitOf(cell);
      this.#tell({ kind: 'cell', cell, index: done + index, cells: cells.length });
      const record = await this.#runCell(cell, 'run', downtimeLimitMs);
      const leftMs = this.#expectedOf(left.slice(index + 1));
      this.#tell({ kind: 'result', record, done: done + index + 1, leftMs });
    }
    return this.#records;
  }

  /** Without those whose guest cannot be had here, each named with its reason. */
  async #cells(): Promise<Cell[]> {
    const { plan, only } = this.#options;
    const asked = cellsOf(plan).filter((cell) => only?.some((name) => isNamed(cell, name)) ?? true);
    const missing = new Set<string>();
    for (const { id, linux } of new Set(asked.map(({ workload }) => workload))) {
      const reason = linux === undefined ? null : await missingLinux(linux, this.#network);
      if (reason === null) continue;
      missing.add(id);
      this.#tell({ kind: 'note', text: `${id} is skipped: ${reason}` });
    }
    return asked.filter(({ workload }) => !missing.has(workload.id));
  }

  async #runCell(cell: Cell, kind: RunRecord['kind'], downtimeLimitMs: number | null): Promise<RunRecord> {
    const { lockPath, signal } = this.#options;
    if (!lockPath) return this.#runNow(cell, kind, downtimeLimitMs);
    const onWait = () => this.#tell({ kind: 'waiting', lockPath });
    return withMachineLock({ path: lockPath, onWait, ...(signal === undefined ? {} : { signal }) }, () =>
      this.#runNow(cell, kind, downtimeLimitMs),
    );
  }

  async #runNow(cell: Cell, kind: RunRecord['kind'], downtimeLimitMs: number | null): Promise<RunRecord> {
    const startMs = performance.now();
    const { signal, resultsPath, recordFolder } = this.#options;
    const traced = recordFolder && kind === 'run';
    if (traced) mkdirSync(recordFolder, { recursive: true });
    const record = await runCell({
      plan: planFor(this.#options.plan, cell.workload),
      cell,
      kind,
      network: this.#network,
      provenance: this.#provenance,
      migrator: isBaseline(cell.strategy.name) ? null : this.#options.migratorOf(cell.strategy),
      downtimeLimitMs,
      onStage: (stage) => this.#tell({ kind: 'stage', stage }),
      ...(traced ? { recordPath: join(recordFolder, `${cell.key.replaceAll('/', '-')}.trace`) } : {}),
      ...(signal === undefined ? {} : { signal }),
    });
    appendResult(resultsPath, record);
    this.#records.push(record);
    this.#durationsMs.set(`${cell.workload.id}/${cell.strategy.id}`, performance.now() - startMs);
    return record;
  }

  async #downtimeLimitOf(cell: Cell): Promise<number | null> {
    if (cell.strategy.name !== RELAXED || cell.strategy.downtimeLimitMs !== null) {
      return cell.strategy.downtimeLimitMs;
    }
    return cell.strategy.relaxedFactor * (await this.#calibrate(cell));
  }

  /**
   * The smallest 300 ms x 2^n with which every calibration run ends; seeds of its own, so that no measured
   * run is a repeat.
   */
  async #calibrate(cell: Cell): Promise<number> {
    const { plan } = this.#options;
    for (let step = 0; step <= RELAXED_STEPS_MAX; step++) {
      const limitMs = DOWNTIME_LIMIT_MS_DEFAULT * 2 ** step;
      if (await this.#allEnd(cell, limitMs)) {
        this.#tell({
          kind: 'note',
          text: `relaxed on ${cell.workload.id}: ${limitMs} ms ends ${plan.calibrationRuns} of ${plan.calibrationRuns}`,
        });
        return limitMs;
      }
    }
    throw labError('LAB_PLAN', `no downtime limit lets plain pre-copy end on ${cell.workload.id}`);
  }

  async #allEnd(cell: Cell, limitMs: number): Promise<boolean> {
    const { plan } = this.#options;
    for (let run = 0; run < plan.calibrationRuns; run++) {
      const key = `${cell.workload.id}/calibration-${limitMs}/${run}`;
      const known = this.#records.find((record) => record.kind === 'calibration' && record.key === key);
      const strategy = { ...cell.strategy, id: RELAXED, relaxedFactor: 1, expected: null };
      const trial = { ...cell, key, strategy, run, seed: plan.seed + plan.runs + run };
      const record = known ?? (await this.#runCell(trial, 'calibration', limitMs));
      if (!record.success) return false;
    }
    return true;
  }

  #expectedOf(cells: readonly Cell[]): number {
    return cells.reduce((sum, cell) => sum + this.#expectedMs(cell), 0);
  }

  #expectedMs(cell: Cell): number {
    const plan = planFor(this.#options.plan, cell.workload);
    const known = this.#durationsMs.get(`${cell.workload.id}/${cell.strategy.id}`);
    if (known !== undefined) return known;
    const passMs = (plan.memoryBytes * 1000) / plan.linkBytesPerSecond;
    const migrationMs = cell.strategy.expected === 'failure' ? plan.timeLimitMs : PASSES_EXPECTED * passMs;
    return plan.warmUpMs + CELL_OVERHEAD_MS + migrationMs;
  }

  #has(kind: RunRecord['kind'], key: string): boolean {
    return this.#records.some((record) => record.kind === kind && record.key === key);
  }

  #tell(event: PlanEvent): void {
    this.#options.onEvent?.(event);
  }
}

export async function provenanceOf(plan: Pick<Plan, 'accelerator'>, network: Network): Promise<Provenance> {
  const version = await runCommand([findQemu(), '--version']);
  const git = (...words: string[]) =>
    runCommand(['git', '-C', dirname(fileURLToPath(import.meta.url)), ...words]).catch(() => null);
  const status = await git('status', '--porcelain', '--untracked-files=no');
  return {
    commit: (await git('rev-parse', 'HEAD'))?.trim() ?? null,
    modified: status === null ? null : status.trim() !== '',
    qemuVersion: /version (\S+)/.exec(version)?.[1] ?? version.trim(),
    accelerator: plan.accelerator,
    nodeVersion: process.versions.node,
    cores: coreCount(),
    link: network.kind,
    linkNote: network.note,
  };
}
