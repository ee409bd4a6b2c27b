/**
 * `npm run handover`: every fault at every moment, one JSON line each.
 *   -- --fault kill        only this fault     -- --moment stopped   only this moment
 *   -- --out FILE          default results/handover.jsonl; cases that are there already are not run again
 */

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { AFTER_COMMIT, BEFORE_COMMIT, type Moment } from './handover-moments.ts';
import { type CaseResult, type Fault, runCase } from './handover-rig.ts';
import { WIRES } from './severable.ts';

const FAULTS: readonly Fault[] = ['kill', ...WIRES];
const SCHEMA = 'godwit.handover/1';
const RUNNING_AFTER_MS_MAX = 1000;

const { values } = parseArgs({
  options: {
    fault: { type: 'string' },
    moment: { type: 'string' },
    out: { type: 'string', default: 'results/handover.jsonl' },
    'seconds-max': { type: 'string' },
  },
});

interface Row {
  readonly schema: typeof SCHEMA;
  readonly when: 'before-commit' | 'after-commit';
  readonly moment: string;
  readonly fault: Fault;
  readonly ok: boolean;
}

function rowsOf(path: string): Row[] {
  if (!existsSync(path)) return [];
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row);
}

function verdict(result: CaseResult): string[] {
  const complaints = [...result.complaints];
  const { runningAfterMs } = result;
  if (runningAfterMs !== null && runningAfterMs > RUNNING_AFTER_MS_MAX) {
    complaints.push(`running again only after ${runningAfterMs.toFixed(0)} ms`);
  }
  return complaints;
}

const done = new Set(rowsOf(values.out).map((row) => `${row.when} ${row.moment} ${row.fault}`));
const deadlineMs = values['seconds-max']
  ? performance.now() + Number(values['seconds-max']) * 1000
  : Infinity;
mkdirSync(dirname(values.out), { recursive: true });
let failed = 0;
let left = 0;

async function run(when: Row['when'], moment: Moment, fault: Fault): Promise<void> {
  if (done.has(`${when} ${moment.id} ${fault}`)) return;
  if (performance.now() > deadlineMs) {
    left++;
    return;
  }
  const expect = when === 'before-commit' ? 'stayed' : 'moved';
  const begunMs = performance.now();
  const result = await runCase({ strike: moment, fault, expect, child: { sourceAfter: moment.sourceAfter } });
  const complaints = verdict(result);
  const ok = complaints.length === 0;
  if (!ok) failed++;
  const { report: _report, refused: _refused, ...facts } = result;
  const row = { schema: SCHEMA, when, moment: moment.id, fault, ok, ...facts, complaints };
  appendFileSync(values.out, `${JSON.stringify(row)}\n`);
  const seconds = ((performance.now() - begunMs) / 1000).toFixed(1);
  const running = result.runningAfterMs?.toFixed(0) ?? 'never';
  process.stdout.write(
    `${ok ? 'ok  ' : 'FAIL'} ${when} ${moment.id} ${fault}: ${result.outcome}, running after ${running} ms, ${seconds} s ${complaints.join('; ')}\n`,
  );
}

for (const [when, moments] of [
  ['before-commit', BEFORE_COMMIT],
  ['after-commit', AFTER_COMMIT],
] as const) {
  for (const moment of moments) {
    if (values.moment !== undefined && values.moment !== moment.id) continue;
    for (const fault of FAULTS) {
      if (values.fault !== undefined && values.fault !== fault) continue;
      if (moment.absent.some((wire) => wire === fault)) continue;
      await run(when, moment, fault);
    }
  }
}
const rows = rowsOf(values.out);
const good = rows.filter((row) => row.ok).length;
process.stdout.write(`${good} of ${rows.length} hold${left > 0 ? `, ${left} not run yet` : ''}\n`);
process.exit(failed > 0 ? 1 : 0);
