/** Pictures of runs: what they show is what was simulated, they are small, and nothing in them is loaded. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { GIB, MIB } from '../base/index.ts';
import { axesOf, type Picture, picture } from './picture.ts';
import { runTask, type SimulationTask } from './task.ts';
import type { Sample } from './timeline.ts';

function runOf(name: string): { run: Picture; samples: Sample[] } {
  const task: SimulationTask = {
    ...{ key: name, run: 0, seed: 3, seedBase: 3, trace: null, regret: false, arrangement: 'single' },
    strategy: { id: name, name, parameters: {}, relaxedFactor: 1 },
    workload: { id: 'u', options: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 20 * MIB } },
    ...{ memoryBytes: 32 * MIB, linkBytesPerSecond: 8e6, roundTripMs: 0.2, downtimeLimitMs: 300 },
    ...{ timeLimitMs: 20_000, gatewayMemoryBytesMax: GIB },
  };
  const samples: Sample[] = [];
  const result = runTask(
    task,
    () => assert.fail('no trace'),
    (sample) => samples.push(sample),
  );
  return { run: { ...result, title: name, samples }, samples };
}

test('samples follow the run from its beginning to its end', () => {
  const { run, samples } = runOf('frs');
  assert.equal(samples[0]!.atMs, 0);
  assert.equal(samples[0]!.sentBytes, 0);
  const end = samples.at(-1)!;
  assert.equal(end.atMs, run.totalMigrationTimeMs);
  assert.equal(end.heldBytes + end.queuedBytes + end.inQemuBytes, 0, 'nothing is lacking at the end');
  for (const [index, { atMs, heldBytes, queuedBytes, inQemuBytes, sentBytes }] of samples.entries()) {
    assert.ok(heldBytes >= 0 && queuedBytes >= 0 && inQemuBytes >= 0);
    const before = samples[index - 1];
    if (before) assert.ok(atMs > before.atMs && sentBytes >= before.sentBytes, `at ${atMs}`);
  }
  assert.ok(
    samples.some(({ heldBytes }) => heldBytes > 0),
    'frs holds',
  );
});

test('watching a run changes nothing', () => {
  const { run } = runOf('mp');
  const { run: again } = runOf('mp');
  assert.deepEqual(run, again);
});

test('a picture shows stop and figures, or why it did not end; all share their axes', () => {
  const runs = ['frs', 'precopy'].map((name) => runOf(name).run);
  const axes = axesOf(runs);
  assert.ok(axes.durationMsMax <= 3 * runs[0]!.totalMigrationTimeMs!);
  const [frs, precopy] = runs.map((run) => picture(run, axes)) as [string, string];
  assert.match(frs, /VM stopped/);
  assert.match(frs, /s in all, .* down, .* sent/);
  assert.match(precopy, /no decision within 20.0 s/);
  assert.doesNotMatch(precopy, /VM stopped|>held<\/title>/);
  for (const svg of [frs, precopy]) {
    assert.ok(svg.length < 20_000, `${svg.length} bytes`);
    assert.doesNotMatch(svg, /NaN|undefined|<script|href/);
  }
});

test('of a reason with several clauses the first is drawn, and the label has all', () => {
  const { run } = runOf('precopy');
  const svg = picture({ ...run, reason: 'stalled; 37 MiB remain; dirty > link' }, axesOf([run]));
  assert.match(svg, />stalled<\/text>/);
  assert.match(svg, /aria-label="precopy: stalled; 37 MiB remain; dirty &#62; link"/);
});
