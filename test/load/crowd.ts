/**
 * `npm run crowd -- [--moves 20] [--json]`: so many migrations at once on this machine, each of a VM of its
 * own. Exit 1: one did not move, a guest is not whole at its destination, or anything was left behind.
 */

import { spawn } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { parseArgs } from 'node:util';
import { NODE_FLAGS } from '../../bin/runtime.mjs';
import { MIB } from '../../src/base/index.ts';
import { isSound, verifyGuest } from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { GODWIT } from '../live/ssh-rig.ts';
import { openVms, type Vms } from './vms.ts';

const { values } = parseArgs({ options: { moves: { type: 'string' }, json: { type: 'boolean' } } });
const moves = Number(values.moves ?? 20);
const say = (text: string) => (values.json ? process.stderr : process.stdout).write(`${text}\n`);

interface Move {
  readonly code: number | null;
  /** Why it did not move. */
  readonly why: string;
  readonly downtimeMs: number | null;
  readonly tookMs: number;
}

/** All of them write their journals into one folder, as on a host. */
function move({ source, destination }: Vms, stateDirectory: string): Promise<Move> {
  const startMs = performance.now();
  const ends = [`qmp:${source.controlPath}`, `qmp:${destination.controlPath}`];
  const argv = [...NODE_FLAGS, GODWIT, 'migrate', ...ends, '--bandwidth', '80Mbit', '--json'];
  const child = spawn(process.execPath, argv, {
    env: { ...process.env, GODWIT_STATE_DIR: stateDirectory },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [out, err] = ['', ''];
  child.stdout!.on('data', (chunk) => (out += String(chunk)));
  child.stderr!.on('data', (chunk) => (err += String(chunk)));
  return new Promise((resolve) => {
    child.once('close', (code) => {
      const report = out === '' ? null : JSON.parse(out);
      const downtimeMs = code === 0 ? (report.downtimeMs as number) : null;
      const why = report?.failure === null ? '' : JSON.stringify(report?.failure ?? err.trim());
      resolve({ code, why, downtimeMs, tookMs: performance.now() - startMs });
    });
  });
}

async function faultsOf(vms: Vms, { code, why }: Move): Promise<string[]> {
  const faults = code === 0 ? [] : [`exit ${code}: ${why}`];
  const [source, destination] = await Promise.all([
    queryStatus(vms.source.qmp),
    queryStatus(vms.destination.qmp),
  ]);
  if (source.running && destination.running) faults.push('two copies run');
  if (!source.running && !destination.running) faults.push('no copy runs');
  const running = destination.running ? vms.destination : vms.source;
  if (!isSound(await verifyGuest(running))) faults.push('its memory is damaged');
  return faults;
}

function ourFolders(): Set<string> {
  return new Set(readdirSync(tmpdir()).filter((name) => /^godwit-(?!lab)/.test(name)));
}

const opened: Vms[] = [];
try {
  const before = ourFolders();
  // Two by two: a machine that boots forty QEMUs at once times out for reasons of its own.
  const guests = ['idle', 'uniform', 'zipf', 'phased'] as const;
  for (let index = 0; index < moves; index++) {
    const workload = guests[index % guests.length]!;
    opened.push(await openVms(32, { workload, hotBytes: 4 * MIB, rateBytesPerSecond: MIB, seed: index + 1 }));
    say(`${index + 1} of ${moves} VMs run`);
  }
  const startMs = performance.now();
  const ended = await Promise.all(opened.map((vms) => move(vms, `${opened[0]!.folder}/state`)));
  const tookMs = Math.round(performance.now() - startMs);
  const faults = (await Promise.all(opened.map((vms, index) => faultsOf(vms, ended[index]!)))).flat();
  const leftBehind = [...ourFolders()].filter((name) => !before.has(name));
  const downtimes = ended.flatMap(({ downtimeMs }) => downtimeMs ?? []).toSorted((a, b) => a - b);
  const moved = ended.filter(({ code }) => code === 0).length;
  for (const fault of faults) say(fault);
  const summary = {
    moves,
    moved,
    tookMs,
    downtimeMsMedian: downtimes[downtimes.length >> 1] ?? null,
    downtimeMsMax: downtimes.at(-1) ?? null,
    faults: faults.length,
    leftBehind: leftBehind.length,
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  process.exitCode = moved === moves && faults.length + leftBehind.length === 0 ? 0 : 1;
} finally {
  await Promise.all(opened.map((vms) => vms.close()));
}
