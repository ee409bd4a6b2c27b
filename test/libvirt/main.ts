/**
 * `npm run -s libvirt -- --moves N`: moves domains between two real libvirts in namespaces over real ssh, one
 * JSON line a move, then one object of what they come to.
 *   --strategy NAME   frs, mp, adaptive (default: each in turn)
 *   --workload NAME   uniform (default) or stress
 *   --paired          with a godwit on the far host (default: single)
 *   --raw N           so many moves without a libvirt beside them, for the extra downtime (default: all)
 *   --faults N --seed S [--only KIND]   strikes moves instead: faults.ts
 *   --out FILE        the lines go there too                      --json                      only the object
 */

import { appendFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { errorMessage, median, Prng } from '../../src/base/index.ts';
import { makeRunFolder, openNetwork, removeRunFolder } from '../../src/lab/index.ts';
import { libvirtMissing } from '../live/libvirt-rig.ts';
import { findSshd, openSshHost } from '../live/ssh-rig.ts';
import { drawFaults, type Fault, type FaultFigures, runFault, TWO } from './faults.ts';
import { type MoveFigures, type MoveOptions, runMove } from './move.ts';
import { runRawMove } from './raw.ts';

/** Of the gateway's cap; the network between the hosts carries far more. */
const LINK_BITS_PER_SECOND = 200e6;
const LINK_BYTES_PER_SECOND = 250e6;
const STRATEGIES = ['frs', 'mp', 'adaptive'] as const;

const { values } = parseArgs({
  options: {
    moves: { type: 'string', default: '3' },
    faults: { type: 'string' },
    seed: { type: 'string', default: '1' },
    only: { type: 'string' },
    raw: { type: 'string' },
    strategy: { type: 'string' },
    workload: { type: 'string', default: 'uniform' },
    paired: { type: 'boolean', default: false },
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

/** Of those that are known. */
function medianOf(figures: readonly (number | null)[]): number | null {
  return median(figures.filter((figure) => figure !== null));
}

/** The machinery of the run, or a move that hangs: told like any other complaint. */
function notRun({ kind, step }: Fault, error: unknown): FaultFigures {
  const nothing = { outcome: null, text: null, source: null, destination: null };
  const beats = { heartbeatsLost: 0, heartbeatsRepeated: 0 };
  return { kind: kind.name, step, ...nothing, ...beats, complaints: [errorMessage(error)] };
}

async function strikeAll(): Promise<number> {
  const random = new Prng(Number(values.seed));
  const faults = drawFaults(Number(values.faults), () => random.unit(), values.only ?? null);
  const told: FaultFigures[] = [];
  for (const fault of faults) {
    const figures = await during((t) => runFault(t, fault)).catch((error: unknown) => notRun(fault, error));
    told.push(figures);
    write(figures);
  }
  const count = (is: (figures: FaultFigures) => boolean) => told.filter(is).length;
  const summary = {
    ...{ faults: told.length, seed: Number(values.seed) },
    held: count(({ complaints }) => complaints.length === 0),
    doubled: count(
      ({ heartbeatsRepeated, complaints }) => heartbeatsRepeated > 0 || complaints.includes(TWO),
    ),
    inDoubt: count(({ outcome }) => outcome === 'in-doubt'),
    completed: count(({ outcome }) => outcome === 'completed'),
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  return summary.held === summary.faults ? 0 : 1;
}

async function main(): Promise<number> {
  const missing = libvirtMissing() || (findSshd() === null && 'sshd is not installed (openssh-server)');
  if (missing) {
    process.stderr.write(`skipped: ${missing}\n`);
    return 1;
  }
  return values.faults === undefined ? moveAll() : strikeAll();
}

async function moveAll(): Promise<number> {
  const network = await openNetwork({ linkBytesPerSecond: LINK_BYTES_PER_SECOND });
  const folder = makeRunFolder();
  const ssh = await openSshHost(network, folder);
  const moves: MoveFigures[] = [];
  const raw: (number | null)[] = [];
  const optionsOf = (index: number): MoveOptions => ({
    strategy: values.strategy ?? STRATEGIES[index % STRATEGIES.length]!,
    workload: values.workload === 'stress' ? 'stress' : 'uniform',
    ...{ ssh, paired: values.paired, linkBitsPerSecond: LINK_BITS_PER_SECOND },
  });
  try {
    const [moveCount, rawCount] = [Number(values.moves), Number(values.raw ?? values.moves)];
    // In turns, so that whatever else the machine does meets both.
    for (let index = 0; index < Math.max(moveCount, rawCount); index++) {
      const options = optionsOf(index);
      if (index < moveCount) {
        const figures = await during((t) => runMove(t, options));
        moves.push(figures);
        write(figures);
      }
      if (index < rawCount) {
        const downtimeMs = await during((t) => runRawMove(t, network, options));
        raw.push(downtimeMs);
        write({ raw: true, strategy: options.strategy, downtimeMs });
      }
    }
  } finally {
    await ssh.close();
    await network.close();
    removeRunFolder(folder);
  }
  const sum = (figure: (move: MoveFigures) => number | null) =>
    moves.reduce((total, move) => total + (figure(move) ?? 0), 0);
  const [withLibvirt, without] = [medianOf(moves.map(({ downtimeMs }) => downtimeMs)), medianOf(raw)];
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
    totalMsMedian: medianOf(moves.map(({ totalMs }) => totalMs)),
  };
  process.stdout.write(`${JSON.stringify(summary)}\n`);
  const { moves: all, succeeded, badPages, heartbeatsLost, doubled, leftBehind, unjudged } = summary;
  return succeeded === all && badPages + heartbeatsLost + doubled + leftBehind + unjudged === 0 ? 0 : 1;
}

process.exitCode = await main();
