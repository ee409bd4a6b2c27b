/**
 * `npm run bench`: `-- --json` prints one object a line, `--only NAME` (several times) chooses, `--quick` is
 * rough, `--lock FILE` takes that lock for each run that boots VMs.
 */

import { execFileSync } from 'node:child_process';
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { findProgram } from '../scripts/setup/needs.mjs';
import { errorCode, errorMessage, GodwitError } from '../src/base/index.ts';
import { choose, discover, runAll } from './registry.ts';

const RATE_FIELD = /BytesPerSecond$/;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      json: { type: 'boolean', default: false },
      only: { type: 'string', multiple: true, default: [] },
      quick: { type: 'boolean', default: false },
      lock: { type: 'string' },
      list: { type: 'boolean', default: false },
    },
  });
  const benches = choose(await discover(import.meta.dirname), values.only);
  if (values.list) {
    for (const bench of benches) console.log(`${bench.name}${bench.needsQemu ? '  (boots VMs)' : ''}`);
    return 0;
  }
  const passed = await runAll(benches, {
    quick: values.quick,
    lockPath: values.lock ?? null,
    hasQemu: findProgram('qemu-system-x86_64') !== null,
    stamp: { cores: availableParallelism(), node: process.versions.node, ...commit() },
    log: (text) => void process.stderr.write(`${text}\n`),
    emit: (line) => console.log(values.json ? JSON.stringify(line) : forPeople(line)),
  });
  return passed ? 0 : 1;
}

/** A figure belongs to a commit; one measured on a changed tree says so. */
function commit(): { commit?: string } {
  try {
    const args = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
    const output = execFileSync('git', args, {
      cwd: import.meta.dirname,
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return { commit: output.toString().trim() };
  } catch {
    return {};
  }
}

function forPeople(line: Record<string, unknown>): string {
  const { bench, cores: _cores, node: _node, commit: _commit, ...figures } = line;
  const parts = Object.entries(figures).map(([name, value]) => `${name} ${figure(name, value)}`);
  return `${bench}: ${parts.join(', ')}`;
}

function figure(name: string, value: unknown): string {
  if (typeof value !== 'number') return typeof value === 'string' ? value : JSON.stringify(value);
  if (RATE_FIELD.test(name)) return `${(value / 1e6).toFixed(0)} MB/s`;
  return Number.isInteger(value) ? String(value) : value.toPrecision(3);
}

main().then(
  (code) => {
    process.exitCode = code;
  },
  (error: unknown) => {
    process.exitCode =
      errorCode(error).startsWith('USAGE') || errorCode(error).startsWith('ERR_PARSE') ? 2 : 1;
    console.error(
      `${errorMessage(error)}${error instanceof GodwitError && error.hint ? `\n${error.hint}` : ''}`,
    );
  },
);
