/**
 * `npm run -s libvirt -- --moves N`: moves domains between two real libvirts in namespaces over real ssh, one
 * JSON line a move, then one object of what they come to.
 *   --strategy NAME   frs, mp, adaptive (default: each in turn)
 *   --workload NAME   uniform (default) or stress
 *   --raw N           so many moves without a libvirt beside them, for the extra downtime (default: all)
 *   --out FILE        the lines go there too                      --json                      only the object
 */

import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { makeRunFolder, openNetwork, removeRunFolder } from '../../src/lab/index.ts';
import { libvirtMissing } from '../live/libvirt-rig.ts';
import { findSshd, openSshHost } from '../live/ssh-rig.ts';
import { type MoveFigures, type MoveOptions, runMove } from './move.ts';
import { runRawMove } from './raw.ts';

/** Of the gateway's cap; the network between the hosts carries far more. */
const LINK_BITS_PER_SECOND = 200e6;
const LINK_BYTES_PER_SECOND = 250e6;
const STRATEGIES = ['frs', 'mp', 'adaptive'] as const;

const { values } = parseArgs({
  options: {
    moves: { type: 'string', default: '3' },
    raw: { type: 'string' },
    strategy: { type: 'string' },
    workload: { type: 'string', default: 'uniform' },
    out: { type: 'string' },
    json: { type: 'boolean', default: false },
  },
});

/** What one move has started is ended before the next begins, the newest first. */
async function during<T>(
  run: (t: { after(end: () => Promise<void> | void): void }) => Promise<T>,
): Promise<T> {
  const ends: (() => Promise<void> | void)[] = [];
  try {
    return await run({ after: (end) => void ends.unshift(end) });
  } finally {
    for (const end of ends) await end();
  }
}

function write(line: object): void {
  const text = `${JSON.stringify(line)}\n`;
  if (!values.json) process.stdout.write(text);
  if (values.out !== undefined) appendFileSync(values.out, text);
}

function median(figures: readonly (number | null)[]): number | null {
  const known = figures.filter((figure) => figure !== null).sort((one, other) => one - other);
  return known.length === 0 ? null : known[Math.floor(known.length / 2)]!;
}

async function main(): Promise<number> {
  const missing = libvirtMissing() || (findSshd() === null && 'sshd is not installed (openssh-server)');
  if (missing) {
    process.stderr.write(`skipped: ${missing}\n`);
    return 1;
  }
  const network = await openNetwork({ linkBytesPerSecond: LINK_BYTES_PER_SECOND });
  const folder = makeRunFolder();
  const ssh = await openSshHost(network, folder);
  const moves: MoveFigures[] = [];
  const raw: (number | null)[] = [];
  const optionsOf = (index: number): MoveOptions => ({
    strategy: values.strategy ?? STRATEGIES[index % STRATEGIES.length]!,
    workload: values.workload === 'stress' ? 'stress' : 'uniform',
    ...{ ssh, linkBitsPerSecond: LINK_BITS_PER_SECOND },
  });
  try {
    for (let index = 0; index < Number(values.moves); index++) {
      const figures = await during((t) => runMove(t, optionsOf(index)));
      moves.push(figures);
      write(figures);
    }
    for (let index = 0; index < Number(values.raw ?? values.moves); index++) {
      const downtimeMs = await during((t) => runRawMove(t, network, optionsOf(index)));
      raw.push(downtimeMs);
      write({ raw: true, strategy: optionsOf(index).strategy, downtimeMs });
    }
  } finally {
    await ssh.close();
    await network.close();
    removeRunFolder(folder);
  }
  const sum = (figure: (move: MoveFigures) => number | null) =>
    moves.reduce((total, move) => total + (figure(move) ?? 0), 0);
  const [withLibvirt, without] = [median(moves.map(({ downtimeMs }) => downtimeMs)), median(raw)];
  const summary = {
    libvirtVersion: moves[0]?.libvirtVersion ?? null,
    moves: moves.length,
    succeeded: sum(({ succeeded }) => (succeeded ? 1 : 0)),
    badPages: sum(({ badPages }) => badPages),
    heartbeatsLost: sum(({ heartbeatsLost }) => heartbeatsLost),
    doubled: sum(({ doubled }) => doubled),
    leftBehind: sum((move) => move.leftBehind.length),
    extraDowntimeMs: withLibvirt === null || without === null ? null : Math.round(withLibvirt - without),
    diskLogsWhole: sum(({ diskLogWhole }) => (diskLogWhole ? 1 : 0)),
    /** A move whose guest could not be judged counts as none that succeeded. */
    unjudged: sum(({ badPages, heartbeatsLost }) => (badPages === null || heartbeatsLost === null ? 1 : 0)),
    downtimeMsMedian: withLibvirt,
    downtimeMsMedianRaw: without,
    totalMsMedian: median(moves.map(({ totalMs }) => totalMs)),
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  const { moves: all, succeeded, badPages, heartbeatsLost, doubled, leftBehind, unjudged } = summary;
  return succeeded === all && badPages + heartbeatsLost + doubled + leftBehind + unjudged === 0 ? 0 : 1;
}

process.exitCode = await main();
