/**
 * Runs a target in a thread of its own and looks at it from outside: an input that burns processor time
 * without end, one that never answers, and one that takes memory without end are findings, after which the
 * thread is ended and a new one goes on.
 */

import { Worker } from 'node:worker_threads';
import { newBoard, readBoard } from './board.ts';
import type { Finding } from './target.ts';
import type { WorkerTask } from './worker.ts';

export interface WatchOptions {
  readonly target: string;
  readonly seed: number;
  readonly milliseconds: number;
  /** A thread ends after so many, if the time is not over before. */
  readonly inputsMax?: number;
  readonly restartsMax?: number;
  readonly hangCpuMs?: number;
  readonly hangWallMs?: number;
  readonly memoryBytesMax?: number;
  readonly onFinding?: (finding: Finding) => void;
}

export interface Watched {
  readonly target: string;
  readonly inputs: number;
  readonly corpus: number;
  /** Of source reached. */
  readonly characters: number;
  readonly findings: readonly Finding[];
}

const LOOK_MS = 100;
/** Work of this process, not time: a busy machine is no hang. */
const HANG_CPU_MS = 10_000;
/** For what waits without working: a promise that nobody settles. */
const HANG_WALL_MS = 120_000;
/**
 * Above what the process has at the start. The heap of a thread is bounded besides, so that
 * garbage does not count.
 */
const MEMORY_BYTES_MAX = 1024 * 1024 * 1024;
const HEAP_MIB_MAX = 512;
const RESTARTS_MAX = 20;

interface Stretch {
  readonly inputs: number;
  readonly corpus: number;
  readonly characters: number;
  /** Set where the thread was ended. */
  readonly ended: Finding | null;
}

/** Until the time is over; a thread that was ended is followed by one with another seed. */
export async function watchTarget(options: WatchOptions): Promise<Watched> {
  const findings = new Map<string, Finding>();
  const found = (finding: Finding) => {
    if (findings.has(finding.signature)) return;
    findings.set(finding.signature, finding);
    options.onFinding?.(finding);
  };
  const total = { inputs: 0, corpus: 0, characters: 0 };
  const end = performance.now() + options.milliseconds;
  for (let restart = 0; restart <= (options.restartsMax ?? RESTARTS_MAX); restart++) {
    const milliseconds = Math.max(0, end - performance.now());
    if (restart > 0 && milliseconds === 0) break;
    const stretch = await runStretch({ ...options, seed: options.seed + restart, milliseconds }, found);
    total.inputs += stretch.inputs;
    total.corpus = Math.max(total.corpus, stretch.corpus);
    total.characters = Math.max(total.characters, stretch.characters);
    if (stretch.ended === null) break;
    found(stretch.ended);
  }
  return { target: options.target, ...total, findings: [...findings.values()] };
}

function runStretch(options: WatchOptions, found: (finding: Finding) => void): Promise<Stretch> {
  const { target, seed, milliseconds, inputsMax = null } = options;
  const board = newBoard();
  const worker = new Worker(new URL('./worker.ts', import.meta.url), {
    workerData: { target, seed, milliseconds, inputsMax, board } satisfies WorkerTask,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB_MAX },
  });
  return new Promise((resolve, reject) => {
    const watcher = setInterval(look, LOOK_MS);
    const baselineBytes = process.memoryUsage.rss();
    let begun = -1;
    let sinceCpuMs = 0;
    let sinceWallMs = 0;
    let settled = false;

    function close(stretch: Omit<Stretch, 'inputs'>, inputs = readBoard(board).begun): void {
      if (settled) return;
      settled = true;
      clearInterval(watcher);
      void worker.terminate().then(() => resolve({ inputs, ...stretch }), reject);
    }
    function endWith(kind: Finding['kind'], text: string): void {
      const { input } = readBoard(board);
      close({ corpus: 0, characters: 0, ended: { target, kind, signature: kind, text, input } });
    }
    function look(): void {
      const now = readBoard(board);
      const cpuMs = cpuMsOfProcess();
      if (now.begun !== begun || !now.runs) {
        [begun, sinceCpuMs, sinceWallMs] = [now.begun, cpuMs, performance.now()];
      } else if (cpuMs - sinceCpuMs > (options.hangCpuMs ?? HANG_CPU_MS)) {
        endWith('hang', `one input took more than ${Math.round(cpuMs - sinceCpuMs)} ms of processor time`);
      } else if (performance.now() - sinceWallMs > (options.hangWallMs ?? HANG_WALL_MS)) {
        endWith('hang', 'one input is never answered');
      }
      const grownBytes = process.memoryUsage.rss() - baselineBytes;
      if (now.runs && grownBytes > (options.memoryBytesMax ?? MEMORY_BYTES_MAX)) {
        endWith('memory', `the process grew by ${Math.round(grownBytes / 2 ** 20)} MiB`);
      }
    }

    worker.on('message', (message: WorkerMessage) => {
      if (message.kind === 'finding') found(message.finding);
      else close({ ...message, ended: null }, message.inputs);
    });
    worker.on('error', (error: Error & { code?: string }) => {
      if (error.code === 'ERR_WORKER_OUT_OF_MEMORY') endWith('memory', error.message);
      else if (readBoard(board).runs) endWith('error', error.stack ?? error.message);
      else if (!settled) reject(error);
    });
  });
}

type WorkerMessage =
  | { readonly kind: 'finding'; readonly finding: Finding }
  | {
      readonly kind: 'done';
      readonly inputs: number;
      readonly corpus: number;
      readonly characters: number;
    };

function cpuMsOfProcess(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}
