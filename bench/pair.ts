/**
 * Two gateways between two hosts against a plain byte relay in their place: as many processes, the same
 * sockets, connections and TLS, and the same stream of incompressible pages (nothing to gain,
 * everything to lose). Source and destination are one more thread; where there are two cores, they
 * share them with both processes.
 */

import { type ChildProcess, fork } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { MIB, median } from '../src/base/index.ts';
import { PAGE_SIZE_BYTES } from '../src/vm/index.ts';
import type { Bench, BenchOptions } from './registry.ts';
import type { SideOptions } from './threads/pair-side.ts';

interface Course {
  readonly connections: number;
  readonly tls: boolean;
  readonly workers: number | null;
}

interface Stretch {
  readonly bytesPerSecond: number;
  /** Of the process, per byte carried. */
  readonly sourceNsPerByte: number;
  readonly destinationNsPerByte: number;
}

const SIDE = fileURLToPath(new URL('./threads/pair-side.ts', import.meta.url));

interface Side {
  readonly child: ChildProcess;
  readonly port: number | null;
  /** Rejects when the process ends. */
  readonly gone: Promise<never>;
}

async function startSide(options: SideOptions): Promise<Side> {
  const child = fork(SIDE);
  const gone = once(child, 'exit').then((): never => {
    throw new Error(`the ${options.what} at the ${options.role} ended`);
  });
  gone.catch(() => undefined);
  child.send(options);
  const [{ port }] = (await Promise.race([once(child, 'message'), gone])) as [{ port: number | null }];
  return { child, port, gone };
}

async function cpuNs(child: ChildProcess): Promise<number> {
  const answer = once(child, 'message');
  child.send('cpu');
  const [{ user, system }] = (await answer) as [NodeJS.CpuUsage];
  return (user + system) * 1000;
}

async function stretch(what: SideOptions['what'], course: Course, bytes: number): Promise<Stretch> {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-bench-'));
  const sourcePath = join(folder, 'source');
  const sinkPath = join(folder, 'sink');
  const pages = bytes / PAGE_SIZE_BYTES;
  const warmPages = pages / 4;
  const ends = new Worker(new URL('./threads/pair-ends.ts', import.meta.url), {
    workerData: { sourcePath, sinkPath, pageCount: pages + warmPages + 1 },
  });
  const sides: Side[] = [];
  try {
    await once(ends, 'message');
    const common = {
      what,
      connections: course.connections,
      workers: course.workers,
      key: course.tls ? randomBytes(32).toString('hex') : null,
      migrationId: randomBytes(16).toString('hex'),
    };
    const far = await startSide({ ...common, role: 'destination', socketPath: sinkPath, port: null });
    sides.push(far);
    const near = await startSide({ ...common, role: 'source', socketPath: sourcePath, port: far.port });
    sides.push(near);
    const gone = Promise.race(sides.map((side) => side.gone));
    await Promise.race([pour(ends, warmPages), gone]);
    const before = await Promise.all([cpuNs(near.child), cpuNs(far.child)]);
    const bytesPerSecond = await Promise.race([pour(ends, pages), gone]);
    const after = await Promise.all([cpuNs(near.child), cpuNs(far.child)]);
    return {
      bytesPerSecond,
      sourceNsPerByte: (after[0] - before[0]) / bytes,
      destinationNsPerByte: (after[1] - before[1]) / bytes,
    };
  } finally {
    await Promise.all(
      sides.map(({ child, gone }) => {
        if (child.connected) child.disconnect();
        return gone.catch(() => undefined);
      }),
    );
    await ends.terminate();
    rmSync(folder, { recursive: true, force: true });
  }
}

async function pour(ends: Worker, pages: number): Promise<number> {
  const answer = once(ends, 'message');
  ends.postMessage({ pages });
  const [{ bytesPerSecond }] = (await answer) as [{ bytesPerSecond: number }];
  return bytesPerSecond;
}

async function compare(course: Course, { quick, log }: BenchOptions): Promise<Record<string, unknown>> {
  const bytes = (quick ? 256 : 1024) * MIB;
  const ours: Stretch[] = [];
  const plain: Stretch[] = [];
  for (let round = 0; round < (quick ? 3 : 7); round++) {
    plain.push(await stretch('relay', course, bytes));
    ours.push(await stretch('gateway', course, bytes));
    log(`${(ours.at(-1)!.bytesPerSecond / plain.at(-1)!.bytesPerSecond).toFixed(2)} of the plain relay`);
  }
  const middle = (of: readonly Stretch[], field: keyof Stretch) => median(of.map((one) => one[field]))!;
  const cpuOf = (of: readonly Stretch[]) =>
    middle(of, 'sourceNsPerByte') + middle(of, 'destinationNsPerByte');
  const ns = (of: readonly Stretch[]) => ({
    source: Number(middle(of, 'sourceNsPerByte').toFixed(3)),
    destination: Number(middle(of, 'destinationNsPerByte').toFixed(3)),
  });
  return {
    bytesPerSecond: Math.round(middle(ours, 'bytesPerSecond')),
    baselineBytesPerSecond: Math.round(middle(plain, 'bytesPerSecond')),
    ratio: Number(
      median(ours.map((one, round) => one.bytesPerSecond / plain[round]!.bytesPerSecond))!.toFixed(3),
    ),
    // Of both processes: what a neighbour on the cores hardly disturbs.
    cpuRatio: Number((cpuOf(plain) / cpuOf(ours)).toFixed(3)),
    cpuNsPerByte: ns(ours),
    baselineCpuNsPerByte: ns(plain),
    ...course,
  };
}

export const benches: readonly Bench[] = [
  {
    name: 'pair',
    needsQemu: false,
    run: (options) => compare({ connections: 1, tls: false, workers: null }, options),
  },
  {
    name: 'pair-tls',
    needsQemu: false,
    run: (options) => compare({ connections: 2, tls: true, workers: null }, options),
  },
];
