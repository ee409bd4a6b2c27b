/**
 * `npm run link-faults`: migrations over ssh and TLS whose link is cut, broken, lied to and listened to;
 * a JSON line each.
 *   -- --only WORDS        only cases whose name contains them
 *   -- --out FILE          default results/link-faults.jsonl
 */

import { execFileSync } from 'node:child_process';
import { appendFileSync, mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { FAULT_CASES } from './link-fault-cases.ts';
import { runFault } from './link-fault-rig.ts';

const SCHEMA = 'godwit.link-fault/1';

const { values } = parseArgs({
  options: {
    only: { type: 'string', default: '' },
    out: { type: 'string', default: 'results/link-faults.jsonl' },
  },
});

mkdirSync(dirname(values.out), { recursive: true });
const commit = execFileSync('git', ['rev-parse', '--short', 'HEAD'], { encoding: 'utf8' }).trim();
const cases = FAULT_CASES.filter(({ id }) => id.includes(values.only));
let good = 0;
for (const one of cases) {
  const result = await runFault(one);
  if (result.ok) good++;
  appendFileSync(values.out, `${JSON.stringify({ schema: SCHEMA, commit, ...result })}\n`);
  const facts = [
    result.code ?? 'moved',
    ...(result.totalMs === null ? [] : [`${(result.totalMs / 1000).toFixed(1)} s`]),
    ...(result.downtimeMs === null ? [] : [`down ${result.downtimeMs.toFixed(0)} ms`]),
    ...(result.stoodStillMs === null ? [] : [`stood still ${result.stoodStillMs.toFixed(0)} ms`]),
    ...(result.link === null
      ? []
      : [`${result.link.reconnects} reconnects`, `${result.link.resentBytes} B resent`]),
    `${result.badPages} bad pages`,
    ...result.complaints,
  ];
  process.stdout.write(`${result.ok ? 'ok  ' : 'FAIL'} ${result.id}: ${facts.join(', ')}\n`);
}
process.stdout.write(`${good} of ${cases.length} hold\n`);
process.exit(good === cases.length ? 0 : 1);
