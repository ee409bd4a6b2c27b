/**
 * `godwit lab`: what the screen says of runs, what the report writes, and what is refused before anything
 * starts.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { VirtualClock } from '../../base/index.ts';
import { buildReport, type Plan, parsePlan, type RunRecord } from '../../lab/index.ts';
import { recordOf } from '../../lab/report/record.testing.ts';
import { LabView, reportTable, unmetExpectations } from '../lab/view.ts';
import { main } from '../main.ts';

function sink() {
  let text = '';
  return { write: (more: string) => (text += more), text: () => text };
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), 'godwit-cli-lab-'));
  t.after(() => rmSync(path, { recursive: true, force: true }));
  return path;
}

async function run(...args: string[]) {
  const [out, err] = [sink(), sink()];
  const code = await main(['lab', ...args], { out, err });
  return { code, out: out.text(), err: err.text() };
}

const good = recordOf({
  ...{ plan: 'small', key: 'uniform/mp/0', seed: 1, othersCores: 0 },
  ...{ expected: 'success', arrangement: 'single' },
});
const bad = recordOf({
  ...good,
  key: 'uniform/mp/1',
  run: 1,
  success: false,
  checks: [{ id: 'memory', holds: false, complaints: ['3 bad pages'], evidence: '' }],
  verification: { pages: 1, badPages: 3, heartbeatsLost: 0 },
});

function resultsFile(t: TestContext, records: readonly RunRecord[]): string {
  const path = join(folder(t), 'small.jsonl');
  writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  return path;
}

test('report writes its three files beside the results, and the table', async (t) => {
  const path = resultsFile(t, [good, bad]);
  const { code, out, err } = await run('report', path);
  assert.equal(code, 0);
  assert.match(out, /uniform +mp +1 of 2 +10\.00/);
  const written = join(path, '..', 'small-report');
  assert.deepEqual(readdirSync(written).sort(), ['report.csv', 'report.html', 'report.json']);
  assert.match(err, /report\.html in .*small-report/);
  assert.equal(JSON.parse(readFileSync(join(written, 'report.json'), 'utf8')).rows[0].successes, 1);
});

test('report --json is the report on one line; no results is an error', async (t) => {
  const path = resultsFile(t, [good]);
  const { out } = await run('report', path, '--json', '--out', join(folder(t), 'there'));
  assert.equal(JSON.parse(out).schema, 'godwit.lab-report/1');
  const empty = await run('report', resultsFile(t, []));
  assert.equal(empty.code, 1);
  assert.match(empty.err, /LAB_RESULTS/);
});

test('another action, a plan that is none and a file that is not there start nothing', async (t) => {
  assert.equal((await run('measure', 'x')).code, 2);
  const path = join(folder(t), 'plan.yaml');
  writeFileSync(path, 'schema: other/1\n');
  const wrong = await run('run', path);
  assert.equal(wrong.code, 1);
  assert.match(wrong.err, /LAB_PLAN/);
  assert.equal((await run('run', join(path, 'nowhere'))).code, 1);
});

test('what the plan expected and did not get is told with its reason', () => {
  const report = buildReport([good, bad])!;
  assert.deepEqual(unmetExpectations(report), [
    'uniform/mp succeeded in 1 of 2 runs, not 2 (1: memory: 3 bad pages)',
  ]);
  assert.deepEqual(unmetExpectations(buildReport([good])!), []);
  assert.match(reportTable(report).at(-1)!, /1\.25 \[1\.25.1\.25\] +2\.00 \[2\.00.2\.00\] +3 +0 +–$/);
});

const plan: Plan = parsePlan(
  'schema: godwit.plan/1\nname: small\nruns: 2\nlink: 200Mbit\nmemory: 64M\nstrategies: [{ name: mp }]\nworkloads: [{ workload: stress }]\n',
);

test('a log has a line for each run, with an estimate, and why one failed', () => {
  const output = sink();
  const view = new LabView(output, new VirtualClock());
  view.introduce(plan, 120_000, 'results/small.jsonl');
  view.show({ kind: 'start', cells: 2, done: 0, leftMs: 60_000 });
  view.show({ kind: 'waiting', lockPath: '/tmp/lock' });
  view.show({ kind: 'result', record: good, done: 1, leftMs: 30_000 });
  view.show({ kind: 'result', record: bad, done: 2, leftMs: 0 });
  view.close();
  const lines = output.text().split('\n');
  assert.match(lines[1]!, /1 workloads \(stress\) x 1 strategies \(mp\) x 2 runs/);
  assert.match(output.text(), /waiting for \/tmp\/lock/);
  assert.match(
    output.text(),
    /moved +uniform\/mp\/0 +total 10\.0 s, down 1\.00 s \(predicted 800 ms\).*30\.0 s left/,
  );
  assert.match(output.text(), /failed uniform\/mp\/1 +memory: 3 bad pages/);
});

const plans = new URL('../../../plans/', import.meta.url);
const planNamed = (name: string) => parsePlan(readFileSync(new URL(name, plans), 'utf8'));

for (const name of ['acceptance.yaml', 'quick.yaml']) {
  test(`${name}: guests that dirty at least 1.2 times what the link carries`, () => {
    const { workloads, linkBytesPerSecond } = planNamed(name);
    for (const { id, guest, linux } of workloads) {
      // A Linux guest writes as fast as it can, and what it writes takes the link longer than the limit.
      if (linux !== undefined) assert.ok((linux.guest.stressBytes ?? 0) >= 1.2 * linkBytesPerSecond, id);
      if (linux !== undefined) continue;
      const { hotBytes, rateBytesPerSecond } = guest;
      assert.ok(hotBytes && rateBytesPerSecond, id);
      // Of a second's writes at random over the hot set, this much is distinct.
      const distinct = hotBytes * (1 - Math.exp(-rateBytesPerSecond / hotBytes));
      assert.ok(distinct >= 1.2 * linkBytesPerSecond, `${id}: ${distinct / linkBytesPerSecond}`);
    }
  });
}

test('thesis-live.yaml: the published guests and strategies, and adaptive, on Linux', () => {
  const { workloads, strategies } = planNamed('thesis-live.yaml');
  assert.deepEqual(
    workloads.map(({ linux }) => linux?.program),
    ['web', 'stream', 'stress', 'idle'],
  );
  const names = new Set(strategies.map(({ name }) => name));
  assert.deepEqual([...names], ['qemu-precopy', 'qemu-precopy-relaxed', 'frs', 'mp', 'adaptive']);
});

test('a program that the Linux guest does not have is refused before anything is downloaded', async () => {
  const { code, err } = await run('linux', 'chess');
  assert.equal(code, 2);
  assert.match(err, /has no program "chess"[\s\S]*one of idle, stress/);
});
