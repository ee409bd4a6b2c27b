/**
 * `npm run fuzz`: every target in turn, guided by coverage, for as long as asked.
 *
 *   npm run fuzz -- --seconds 14400          all targets, four hours in all
 *   npm run fuzz -- --target trace           one of them
 *   npm run fuzz -- --target trace --input FILE   one input again
 *   npm run -s fuzz -- --seconds 30 --json   ends with one object: per target inputs and findings
 *
 * An input that fails is written to .work/fuzz and told with the command that runs it again.
 */

import { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join, relative, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { type Finding, runTarget } from './target.ts';
import { TARGETS, targetByName } from './targets/index.ts';
import { type Watched, watchTarget } from './watch.ts';

const SECONDS_DEFAULT = 600;
const ROOT = resolve(import.meta.dirname, '../..');

function written(finding: Finding): string {
  const folder = join(ROOT, '.work', 'fuzz', finding.target);
  mkdirSync(folder, { recursive: true });
  const name = createHash('sha256').update(finding.input).digest('hex').slice(0, 16);
  const path = join(folder, name);
  writeFileSync(path, finding.input);
  return relative(ROOT, path);
}

function tell(finding: Finding): void {
  const path = written(finding);
  process.stderr.write(
    `${finding.target}: ${finding.kind}, ${finding.input.length} bytes\n${finding.text}\n` +
      `  replay: npm run fuzz -- --target ${finding.target} --input ${path}\n`,
  );
}

async function replay(name: string, path: string): Promise<number> {
  const finding = await runTarget(targetByName(name), readFileSync(resolve(ROOT, path)));
  process.stdout.write(finding === null ? `${name}: taken or refused as documented\n` : `${finding.text}\n`);
  return finding === null ? 0 : 1;
}

function summary(results: readonly Watched[]): object {
  const targets = Object.fromEntries(
    results.map(({ target, inputs, findings, corpus }) => [
      target,
      { inputs, findings: findings.length, corpus },
    ]),
  );
  const sum = (of: (one: Watched) => number) => results.reduce((total, one) => total + of(one), 0);
  return { targets, inputs: sum((one) => one.inputs), findings: sum((one) => one.findings.length) };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      target: { type: 'string', multiple: true },
      seconds: { type: 'string', default: String(SECONDS_DEFAULT) },
      seed: { type: 'string', default: '1' },
      input: { type: 'string' },
      json: { type: 'boolean', default: false },
    },
  });
  const names = values.target ?? TARGETS.map(({ name }) => name);
  if (values.input !== undefined) return replay(names[0]!, values.input);
  const [seconds, seed] = [Number(values.seconds), Number(values.seed)];
  if (!(seconds > 0) || !Number.isInteger(seed)) throw new Error('--seconds and --seed are numbers');
  for (const name of names) targetByName(name);
  const results: Watched[] = [];
  for (const target of names) {
    const milliseconds = (seconds * 1000) / names.length;
    const result = await watchTarget({ target, seed, milliseconds, onFinding: tell });
    results.push(result);
    const { inputs, corpus, findings } = result;
    if (!values.json) {
      process.stdout.write(
        `${target.padEnd(18)} ${String(inputs).padStart(9)} inputs, ${String(corpus).padStart(5)} kept, ${findings.length} findings\n`,
      );
    }
  }
  if (values.json) process.stdout.write(`${JSON.stringify(summary(results))}\n`);
  return results.every(({ findings }) => findings.length === 0) ? 0 : 1;
}

process.exitCode = await main();
