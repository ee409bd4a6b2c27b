/**
 * Turns what a gateway sees (passes, and the pages of each in any order) into the sets of a trace. A page
 * that QEMU sends in a pass was written between the two dirty syncs before it. QEMU's first pass tells which
 * pages are not zero, and nothing about writes.
 */

import { Bitmap } from '../base/index.ts';
import { TraceWriter } from './writer.ts';

/**
 * Before a stop QEMU may make thousands of passes a second over next to nothing. Passes closer to each other
 * than this count as one.
 */
const PASS_MS_MIN = 10;

export class PassRecorder {
  readonly #writer: TraceWriter;
  readonly #pages: Bitmap;
  #contentTold = false;
  #ended = false;
  /** The syncs before and at the beginning of the running pass, ms; null before the first. */
  #beforeMs: number | null = null;
  #syncMs: number | null = null;

  constructor(writer: TraceWriter, pageCount: number) {
    this.#writer = writer;
    this.#pages = new Bitmap(pageCount);
  }

  /** A recording that is written from now on, its first pass begun. */
  static start(write: (bytes: Uint8Array) => void, pageCount: number, nowMs: number): PassRecorder {
    const recorder = new PassRecorder(new TraceWriter({ pageCount, source: 'recorded', write }), pageCount);
    recorder.beginPass(nowMs);
    return recorder;
  }

  /**
   * QEMU synchronised its dirty bitmap: what follows was dirty then. The first call begins the first pass.
   */
  beginPass(nowMs: number): void {
    // QEMU announces its last syncs even when the stream has been given up.
    if (this.#ended) return;
    const isClose = this.#beforeMs !== null && nowMs - this.#syncMs! < PASS_MS_MIN;
    if (isClose) return;
    this.#writeSet();
    this.#beforeMs = this.#syncMs;
    this.#syncMs = nowMs;
  }

  page(pageIndex: number): void {
    this.#pages.add(pageIndex);
  }

  /**
   * A page whose content is all zeros. In the first pass that says nothing; later it says that the page was
   * written.
   */
  zeroPage(pageIndex: number): void {
    if (this.#beforeMs !== null) this.#pages.add(pageIndex);
  }

  /** Writes what is known of the running pass, and the end of the trace. */
  end(): void {
    this.#writeSet();
    this.#writer.end();
    this.#ended = true;
  }

  #writeSet(): void {
    if (this.#beforeMs !== null && this.#syncMs !== null) {
      this.#writer.set(this.#beforeMs, this.#syncMs, this.#pages);
    } else if (this.#syncMs !== null && !this.#contentTold) {
      this.#contentTold = true;
      this.#writer.content(this.#pages);
    }
    this.#pages.clear();
  }
}
