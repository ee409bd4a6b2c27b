/**
 * The thread in which a target runs: it writes down each input before it runs it, so that watch.ts can
 * tell which one hangs.
 */

import { parentPort, workerData } from 'node:worker_threads';
import { type Board, BoardWriter } from './board.ts';
import { Coverage } from './coverage.ts';
import { explore } from './explore.ts';
import { targetByName } from './targets/index.ts';

export interface WorkerTask {
  readonly target: string;
  readonly seed: number;
  readonly milliseconds: number;
  readonly inputsMax: number | null;
  readonly board: Board;
}

const { target, seed, milliseconds, inputsMax, board } = workerData as WorkerTask;
const writer = new BoardWriter(board);
const fuzzed = targetByName(target);
const coverage = new Coverage((url) => url.includes('/src/') || url.endsWith('.testing.ts'));
const end = performance.now() + milliseconds;
const { inputs, corpus } = await explore(fuzzed, {
  seed,
  coverage,
  goesOn: (inputs) => performance.now() < end && inputs < (inputsMax ?? Number.POSITIVE_INFINITY),
  onInput: (input) => writer.begin(input),
  onFinding: (finding) => parentPort?.postMessage({ kind: 'finding', finding }),
});
writer.idle();
parentPort?.postMessage({ kind: 'done', inputs, corpus, characters: coverage.characters });
