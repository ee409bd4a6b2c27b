/**
 * Memory that the fuzzing thread and its watcher share: how many inputs have begun, and the bytes
 * of the last one.
 */

import { INPUT_BYTES_MAX } from './target.ts';

export interface Board {
  /** Inputs begun; bytes of the last; 1 while one runs. */
  readonly words: Int32Array;
  readonly bytes: Uint8Array;
}

const [BEGUN, LENGTH, RUNS] = [0, 1, 2];

export function newBoard(): Board {
  return {
    words: new Int32Array(new SharedArrayBuffer(16)),
    bytes: new Uint8Array(new SharedArrayBuffer(INPUT_BYTES_MAX)),
  };
}

export class BoardWriter {
  readonly #board: Board;

  constructor(board: Board) {
    this.#board = board;
  }

  begin(input: Uint8Array): void {
    const { words, bytes } = this.#board;
    const shown = input.subarray(0, INPUT_BYTES_MAX);
    bytes.set(shown);
    Atomics.store(words, LENGTH, shown.length);
    Atomics.store(words, RUNS, 1);
    Atomics.add(words, BEGUN, 1);
  }

  idle(): void {
    Atomics.store(this.#board.words, RUNS, 0);
  }
}

export function readBoard({ words, bytes }: Board): { begun: number; runs: boolean; input: Uint8Array } {
  return {
    begun: Atomics.load(words, BEGUN),
    runs: Atomics.load(words, RUNS) === 1,
    input: Uint8Array.from(bytes.subarray(0, Atomics.load(words, LENGTH))),
  };
}
