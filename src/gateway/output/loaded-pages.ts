/**
 * How many pages a destination QEMU has loaded: its feed sends a PING behind each batch, and the answers come
 * in the same order. Pure; not responsible for the feed.
 */

export class LoadedPages {
  /** Pages handed over when each unanswered PING was sent. */
  readonly #unanswered: number[] = [];
  #handedOver = 0;
  #loaded = 0;

  /** Since the beginning. */
  get handedOver(): number {
    return this.#handedOver;
  }

  /** A PING follows what was handed over with these `pages`; 0 for the one before the first batch. */
  handOver(pages: number): void {
    this.#handedOver += pages;
    this.#unanswered.push(this.#handedOver);
  }

  /** QEMU answered one more PING; returns the pages loaded since the beginning. */
  noteLoaded(): number {
    this.#loaded = this.#unanswered.shift() ?? this.#loaded;
    return this.#loaded;
  }
}
