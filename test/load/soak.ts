/**
 * `npm run soak -- [--minutes 120] [--json]`: one gateway under constant dirtying that never stops the VM,
 * sampled from outside. Exit 1: memory, descriptors or the event loop's delay grew, or the VM did not come
 * back when it was cancelled.
 */

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { NODE_FLAGS } from '../../bin/runtime.mjs';
import { MIB, sleep } from '../../src/base/index.ts';
import { isSound, verifyGuest } from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { GODWIT } from '../live/ssh-rig.ts';
import { growthOf, isFlat, type Sample } from './samples.ts';
import { openVms, stateFolderOf, type Vms } from './vms.ts';

const PROBE = fileURLToPath(new URL('probe.ts', import.meta.url));
const SAMPLES_MIN = 30;
/** Twelve times as fast as the link: even a guest that a busy machine slows down is too fast for it. */
const GUEST = { workload: 'uniform', hotBytes: 4 * MIB, rateBytesPerSecond: 12 * MIB } as const;
const MOVE = ['--strategy', 'precopy', '--downtime-limit', '1ms', '--bandwidth', '8Mbit', '--json'];
const GROWTH_SHARE_MAX = 0.1;

const { values } = parseArgs({ options: { minutes: { type: 'string' }, json: { type: 'boolean' } } });
const minutes = Number(values.minutes ?? 120);
const say = (text: string) => (values.json ? process.stderr : process.stdout).write(`${text}\n`);

async function soak(vms: Vms): Promise<boolean> {
  const { source, destination } = vms;
  const child = spawn(
    process.execPath,
    [
      ...[...NODE_FLAGS, '--import', PROBE, GODWIT, 'migrate', ...MOVE],
      ...[`qmp:${source.controlPath}`, `qmp:${destination.controlPath}`],
    ],
    {
      env: { ...process.env, GODWIT_STATE_DIR: stateFolderOf(vms) },
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
    },
  );
  let [out, err, told] = ['', '', ''];
  child.stdout!.on('data', (chunk) => (out += String(chunk)));
  child.stderr!.on('data', (chunk) => (err = `${err}${chunk}`.slice(-4000)));
  child.stdio[3]!.on('data', (chunk) => (told = `${told}${chunk}`.slice(-1000)));
  const ended = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const samples: Sample[] = [];
  const everyMs = Math.min(10_000, (minutes * 60_000) / SAMPLES_MIN);
  const startMs = performance.now();
  while (performance.now() - startMs < minutes * 60_000 && child.exitCode === null) {
    await sleep(everyMs);
    if (child.exitCode !== null) break;
    samples.push(sampleOf(child.pid!, performance.now() - startMs, told));
    if (samples.length % 30 === 0) say(describe(samples.at(-1)!));
  }
  const endedEarly = child.exitCode !== null;
  child.kill('SIGINT');
  const code = await ended;
  const report = out === '' ? null : JSON.parse(out);
  const sound = (await queryStatus(source.qmp)).running && isSound(await verifyGuest(source));
  const grown = growths(samples);
  const flat = grown.every((one) => one.flat);
  const passed = flat && sound && !endedEarly && code === 130;
  const rows = Object.fromEntries(grown.map(({ name, before, after }) => [name, { before, after }]));
  const summary = {
    minutes,
    samples: samples.length,
    ...rows,
    flat,
    sourceRuns: sound,
    exitCode: code,
    passed,
  };
  say(
    `iterations reported: ${report?.iterations?.length}, the last is number ${report?.iterations?.at(-1)?.index}`,
  );
  if (!passed) say(`${err}${out}`);
  process.stdout.write(`${values.json ? JSON.stringify(summary) : JSON.stringify(summary, null, 2)}\n`);
  return passed;
}

function sampleOf(pid: number, atMs: number, told: string): Sample {
  const status = readFileSync(`/proc/${pid}/status`, 'utf8');
  const last = told.split('\n').findLast((line) => line.endsWith('}') && line.startsWith('{'));
  const probe = last === undefined ? null : JSON.parse(last);
  return {
    atMs,
    residentBytes: Number(/VmRSS:\s+(\d+)/.exec(status)![1]) * 1024,
    descriptors: readdirSync(`/proc/${pid}/fd`).length,
    delayMs: probe?.delayMs ?? null,
    heapBytes: probe?.heapBytes ?? null,
  };
}

function growths(samples: readonly Sample[]) {
  const of = (name: string, read: (sample: Sample) => number | null, freeMax: number) => {
    const growth = growthOf(samples.map(read).filter((value) => value !== null));
    return { name, ...growth, flat: isFlat(growth, GROWTH_SHARE_MAX, freeMax) };
  };
  return [
    of('residentBytes', (sample) => sample.residentBytes, 8 * MIB),
    of('heapBytes', (sample) => sample.heapBytes, 8 * MIB),
    of('descriptors', (sample) => sample.descriptors, 0),
    // What else runs here decides most of it.
    of('delayMs', (sample) => sample.delayMs, 20),
  ];
}

function describe({ atMs, residentBytes, descriptors, delayMs }: Sample): string {
  const resident = (residentBytes / MIB).toFixed(1);
  return `${(atMs / 60_000).toFixed(0)} min: ${resident} MiB, ${descriptors} descriptors, delay ${delayMs?.toFixed(1)} ms`;
}

const vms = await openVms(32, GUEST);
try {
  process.exitCode = (await soak(vms)) ? 0 : 1;
} finally {
  await vms.close();
}
