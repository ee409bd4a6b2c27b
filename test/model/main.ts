/**
 * `npm run -s model -- [--json] [--small]`: explores the handover exhaustively, and its mutations. Exit 1: a
 * promise is broken.
 * `npm run -s model -- --table`: writes the machine's tables into docs/format/handover.md, and explores
 * nothing.
 */

import { readFileSync, writeFileSync } from 'node:fs';
import { DOCUMENT, withTables } from './document.ts';
import { MUTATIONS } from './mutations.ts';
import { FULL, run, runMutation, SMALL } from './suites.ts';

const args = new Set(process.argv.slice(2));
const json = args.delete('--json');
if (args.delete('--table')) {
  writeFileSync(DOCUMENT, withTables(readFileSync(DOCUMENT, 'utf8')));
  process.exit(0);
}
const explorations = args.delete('--small') ? SMALL : FULL;
if (args.size > 0) {
  process.stderr.write(`unknown option ${[...args].join(' ')}; --json, --small and --table are known\n`);
  process.exit(2);
}
const say = (text: string) => (json ? process.stderr : process.stdout).write(`${text}\n`);

const startMs = performance.now();
let states = 0;
let transitions = 0;
let violations = 0;
for (const exploration of explorations) {
  const beginMs = performance.now();
  const explored = run(exploration);
  states += explored.states;
  transitions += explored.transitions;
  violations += explored.violations.length;
  const seconds = ((performance.now() - beginMs) / 1000).toFixed(1);
  say(
    `${exploration.name}: ${explored.states} states, ${explored.violations.length} violations, ${seconds} s`,
  );
  for (const { what, trace } of explored.violations) say(`  ${what}:\n    ${trace.join('\n    ')}`);
}
let mutationsCaught = 0;
for (const mutation of MUTATIONS) {
  const what = runMutation(mutation);
  if (what !== null) mutationsCaught++;
  say(`${what === null ? 'NOT caught' : 'caught'}: ${mutation.name} (${what ?? 'nothing broken'})`);
}
const seconds = Math.round((performance.now() - startMs) / 100) / 10;
const result = { states, transitions, violations, mutationsCaught, mutations: MUTATIONS.length, seconds };
if (json) process.stdout.write(`${JSON.stringify(result)}\n`);
else
  say(
    `${states} states, ${violations} violations, ${mutationsCaught} of ${MUTATIONS.length} mutations caught, ${seconds} s`,
  );
process.exitCode = violations === 0 && mutationsCaught === MUTATIONS.length ? 0 : 1;
