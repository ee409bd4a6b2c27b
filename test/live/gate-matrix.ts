/**
 * `npm run gate`: idle, busy and phased guests, with the switchover-ack and with it switched off; one
 * JSON line a run.
 *   -- --workload idle --gate off    only these           -- --runs 20       runs of each (default 20)
 *   -- --out FILE                    default results/gate.jsonl; runs found there are not repeated
 *   -- --at-most 3                   leave after so many, for a machine that is shared
 */

import { appendFileSync, existsSync, mkdirSync, readFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { GATE_WORKLOADS, type GateKind, type GateResult, type GateRun, runGate } from './gate-rig.ts';

const SCHEMA = 'godwit.gate/1';
const GATES: readonly GateKind[] = ['off', 'ack'];
/** By turns: each has its own moments of stopping. */
const STRATEGIES = ['mp', 'frs'] as const;

type Row = GateResult & { readonly schema: typeof SCHEMA };

const { values } = parseArgs({
  options: {
    workload: { type: 'string' },
    gate: { type: 'string' },
    runs: { type: 'string', default: '20' },
    out: { type: 'string', default: 'results/gate.jsonl' },
    'at-most': { type: 'string', default: '1000000' },
  },
});

function rowsOf(path: string): Row[] {
  if (!existsSync(path)) return [];
  const lines = readFileSync(path, 'utf8').split('\n');
  return lines.filter((line) => line !== '').map((line) => JSON.parse(line) as Row);
}

function keyOf({ workload, gate, seed }: GateRun): string {
  return `${workload} ${gate} ${seed}`;
}

function* plan(): Generator<GateRun> {
  for (let run = 0; run < Number(values.runs); run++) {
    for (const workload of GATE_WORKLOADS) {
      for (const gate of GATES) {
        if ((values.workload ?? workload) !== workload || (values.gate ?? gate) !== gate) continue;
        yield { workload, gate, strategy: STRATEGIES[run % STRATEGIES.length]!, seed: run + 1 };
      }
    }
  }
}

function summarise(rows: readonly Row[]): string {
  const lines = ['workload  gate  runs  hold  moved  uninvited  longest uninvited stop'];
  for (const workload of GATE_WORKLOADS) {
    for (const gate of GATES) {
      const own = rows.filter((row) => row.workload === workload && row.gate === gate);
      if (own.length === 0) continue;
      const uninvited = own.filter((row) => row.uninvited);
      const longest = uninvited.reduce((most, row) => Math.max(most, row.downtimeMs ?? Infinity), 0);
      const count = (predicate: (row: Row) => boolean, width: number) =>
        String(own.filter(predicate).length).padStart(width);
      lines.push(
        `${workload.padEnd(8)}  ${gate.padEnd(4)}${count(() => true, 6)}${count((row) => row.ok, 6)}${count((row) => row.success, 7)}` +
          `${count((row) => row.uninvited, 11)}  ${uninvited.length === 0 ? '-' : `${longest.toFixed(0)} ms`}`,
      );
    }
  }
  return `${lines.join('\n')}\n`;
}

mkdirSync(dirname(values.out), { recursive: true });
const done = new Set(rowsOf(values.out).map(keyOf));
let left = Number(values['at-most']);
let failed = 0;
for (const run of plan()) {
  if (done.has(keyOf(run)) || left-- <= 0) continue;
  const begunMs = performance.now();
  const row: Row = { schema: SCHEMA, ...(await runGate(run)) };
  appendFileSync(values.out, `${JSON.stringify(row)}\n`);
  if (!row.ok) failed++;
  const seconds = ((performance.now() - begunMs) / 1000).toFixed(1);
  const down = row.downtimeMs === null ? 'not down' : `${row.downtimeMs.toFixed(0)} ms down`;
  process.stdout.write(
    `${row.ok ? 'ok  ' : 'FAIL'} ${keyOf(run)} ${row.strategy}: ${row.failure ?? row.rule}, ${row.uninvited ? 'uninvited, ' : ''}${down}, ${seconds} s ${row.complaints.join('; ')}\n`,
  );
}
process.stdout.write(summarise(rowsOf(values.out)));
process.exit(failed > 0 ? 1 : 0);
