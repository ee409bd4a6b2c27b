/**
 * What a benchmark is, and how benchmarks are found, chosen and run. Not responsible for any figure: a module
 * beside this one that exports `benches` makes its own.
 */

import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { errorMessage, GodwitError } from '../src/base/index.ts';

export interface BenchOptions {
  /** Shorter and rougher: to see that it works. */
  readonly quick: boolean;
  /** Held during each run that boots VMs, where several people measure on one machine; null: none. */
  readonly lockPath: string | null;
  /** A line for the person who waits; never part of the result. */
  log(text: string): void;
}

export interface Bench {
  /** What `--only` takes and the line's `bench` says. */
  readonly name: string;
  readonly needsQemu: boolean;
  run(options: BenchOptions): Promise<Record<string, unknown>>;
}

/** The rows of every module of the folder, in the order of their file names. */
export async function discover(folder: string): Promise<Bench[]> {
  const found: Bench[] = [];
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.ts') || name.endsWith('.test.ts') || name === 'main.ts' || name === 'registry.ts')
      continue;
    const module: { benches?: readonly Bench[] } = await import(pathToFileURL(join(folder, name)).href);
    found.push(...(module.benches ?? []));
  }
  const names = found.map((bench) => bench.name);
  const twice = names.find((name, index) => names.indexOf(name) !== index);
  if (twice !== undefined) throw new GodwitError('BENCH_TWICE', `two benchmarks are called "${twice}"`);
  return found;
}

/** Those named, in the order found; all where none is named. */
export function choose(benches: readonly Bench[], only: readonly string[]): Bench[] {
  const unknown = only.filter((name) => !benches.some((bench) => bench.name === name));
  if (unknown.length > 0) {
    throw new GodwitError('USAGE_BENCH', `no benchmark is called ${unknown.join(', ')}`, {
      hint: `there are: ${benches.map((bench) => bench.name).join(', ')}`,
    });
  }
  return only.length === 0 ? [...benches] : benches.filter((bench) => only.includes(bench.name));
}

export interface RunAllOptions extends BenchOptions {
  readonly hasQemu: boolean;
  /** Facts of machine and commit that every line carries. */
  readonly stamp: Readonly<Record<string, unknown>>;
  emit(line: Record<string, unknown>): void;
}

/** Runs them one after the other, for they share the cores; true if none failed. A skipped one says why. */
export async function runAll(benches: readonly Bench[], options: RunAllOptions): Promise<boolean> {
  let passed = true;
  for (const bench of benches) {
    const head = { bench: bench.name, ...options.stamp };
    if (bench.needsQemu && !options.hasQemu) {
      options.emit({ ...head, skipped: 'QEMU is not installed' });
      continue;
    }
    options.log(`${bench.name} …`);
    try {
      options.emit({
        ...head,
        ...(await bench.run({ quick: options.quick, lockPath: options.lockPath, log: options.log })),
      });
    } catch (error) {
      passed = false;
      options.emit({ ...head, error: errorMessage(error) });
    }
  }
  return passed;
}
