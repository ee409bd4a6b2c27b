/**
 * `npm run faults`: faults on real VMs, drawn by a seed, judged from outside. Exit code 0: no violation.
 *   -- --count N --seed S   how many, and which; the same two give the same faults
 *   -- --from K             begin with the Kth
 *   -- --only WORDS         only kinds whose name contains them
 *   -- --parallel P         so many at once, default 2
 *   -- --lines FILE         append each result to FILE, one JSON object a line, as it comes
 *   -- --at-most N           this sitting runs so many; those in FILE with the same seed are not run again
 *   -- --json               one JSON object at the end; progress on standard error
 *   -- --list               the kinds, and nothing is run
 */

import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { errorMessage } from '../../src/base/index.ts';
import { commitOf } from '../../src/cli/commit.ts';
import { drawFaults } from './draw.ts';
import { COUNTERS } from './judge.ts';
import { KINDS } from './kinds/table.ts';
import { emptyResult, type FaultResult, runFault } from './run-fault.ts';
import { openSlot, type Slot } from './slot.ts';
import type { Fault } from './types.ts';

const SCHEMA = 'godwit.faults/1';
const LINE_SCHEMA = 'godwit.fault/1';
const COMMIT = commitOf();

const { values } = parseArgs({
  options: {
    count: { type: 'string', default: '20' },
    seed: { type: 'string', default: '1' },
    from: { type: 'string', default: '0' },
    only: { type: 'string', default: '' },
    parallel: { type: 'string', default: '2' },
    lines: { type: 'string' },
    'at-most': { type: 'string', default: '1000000' },
    json: { type: 'boolean', default: false },
    list: { type: 'boolean', default: false },
  },
});

if (values.list) {
  for (const { kind, rows, arrangements } of KINDS) {
    process.stdout.write(`${kind}  (${arrangements.join(', ')}; rows ${rows.join(', ') || 'none'})\n`);
  }
  process.exit(0);
}

const faults = drawFaults(KINDS, {
  seed: Number(values.seed),
  from: Number(values.from),
  count: Number(values.count),
  accepts: ({ kind }) => kind.includes(values.only),
});
const startMs = performance.now();
const before = kept();
const waiting = faults.filter(({ index }) => !before.some((one) => one.index === index));
const now = await runAll(waiting.slice(0, Number(values['at-most'])), Number(values.parallel));
const results = [...before, ...now].sort((one, other) => one.index - other.index);
summarize(results);
process.exit(results.some(({ verdict }) => verdict === 'violated') ? 1 : 0);

async function runAll(drawn: readonly Fault[], parallel: number): Promise<FaultResult[]> {
  const waiting = [...drawn];
  const done: FaultResult[] = [];
  const slots: Slot[] = [];
  const hosts = drawn.some(({ arrangement }) => arrangement !== 'single') ? 'two hosts' : 'one host';
  // One after the other: each looks for a subnet that is free.
  for (let count = 0; count < Math.max(1, parallel); count++) slots.push(await openSlot(hosts));
  const worker = async (slot: Slot) => {
    try {
      for (let fault = waiting.shift(); fault !== undefined; fault = waiting.shift()) {
        const kind = KINDS.find((one) => one.kind === fault!.kind)!;
        const result = await runFault(kind, fault, slot).catch(unable(fault));
        done.push(result);
        say(result);
        keep(result);
      }
    } finally {
      await slot.close();
    }
  };
  await Promise.all(slots.map(worker));
  return done;
}

function say(result: FaultResult): void {
  const { verdict, kind, arrangement, step, afterMs, exit, downMs, seconds, violations, notes } = result;
  const moment = step === null ? 'from the start' : `at ${step}${afterMs > 0 ? ` + ${afterMs} ms` : ''}`;
  const lines = [
    `${verdict.padEnd(8)} ${kind}, ${arrangement}, ${moment}: exit ${exit}, ${downMs} ms down, ${seconds} s`,
    ...violations.map(({ counter, text }) => `         ${counter}: ${text}`),
  ];
  if (verdict !== 'holds') {
    lines.push(`         ${result.said}`, `         ${result.saw}`);
    lines.push(...notes.map((note) => `         ${note}`), `         ${result.replay}`);
  }
  const output = values.json ? process.stderr : process.stdout;
  output.write(`${lines.filter((line) => line.trim() !== '').join('\n')}\n`);
}

/** The rig's own trouble, such as a QEMU that does not start, is no verdict, and ends no run. */
function unable(fault: Fault): (error: unknown) => FaultResult {
  return (error) => ({ ...emptyResult(fault), verdict: 'unable', notes: [errorMessage(error)] });
}

function keep(result: FaultResult): void {
  if (values.lines === undefined) return;
  const line = { schema: LINE_SCHEMA, commit: COMMIT, endedAt: new Date().toISOString(), ...result };
  appendFileSync(values.lines, `${JSON.stringify(line)}\n`);
}

/** Of earlier sittings, what belongs to these faults. */
function kept(): FaultResult[] {
  if (values.lines === undefined || !existsSync(values.lines)) return [];
  const lines = readFileSync(values.lines, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
  const all = lines.map((line) => JSON.parse(line) as FaultResult);
  return all.filter(({ seed, index }) => faults.some((one) => one.seed === seed && one.index === index));
}

function summarize(all: readonly FaultResult[]): void {
  const ran = all.filter(({ verdict }) => verdict === 'holds' || verdict === 'violated');
  const counted = COUNTERS.map((counter) => [
    counter,
    ran.filter(({ violations }) => violations.some((one) => one.counter === counter)).length,
  ]);
  const summary = {
    schema: SCHEMA,
    seed: Number(values.seed),
    faults: ran.length,
    ...Object.fromEntries(counted),
    missed: all.filter(({ verdict }) => verdict === 'missed').length,
    unable: all.filter(({ verdict }) => verdict === 'unable').length,
    seconds: Math.round((performance.now() - startMs) / 1000),
    violations: ran
      .filter(({ verdict }) => verdict === 'violated')
      .map(({ kind, arrangement, step, seed, index, violations, replay, said, saw, notes }) => ({
        ...{ kind, arrangement, step, seed, index, violations, replay, said, saw, notes },
      })),
  };
  if (values.json) process.stdout.write(`${JSON.stringify(summary)}\n`);
  else {
    const words = COUNTERS.map((counter) => `${counter} ${summary[counter as never]}`);
    process.stdout.write(
      `${summary.faults} faults in ${summary.seconds} s: ${words.join(', ')}; missed ${summary.missed}, unable ${summary.unable}\n`,
    );
  }
}
