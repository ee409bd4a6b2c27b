/**
 * The page store's memory, touched before the stream begins. The system gives a page out when it is first
 * written, which takes longer than the copy itself (measured in a virtual machine: 20 to 80 us a page). The
 * memory is touched while the migration waits for its other processes to start; nobody waits for it. Not
 * responsible for what lies in it.
 */

import { SLOTS_PER_CHUNK } from '../../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/** How much is touched before the event loop gets its turn: some milliseconds at worst. */
const PAGES_A_TURN = 128;
const CHUNK_BYTES = SLOTS_PER_CHUNK * PAGE_SIZE_BYTES;

export class ReadyMemory {
  readonly #ready: SharedArrayBuffer[] = [];
  #left: number;
  #making: { readonly shared: SharedArrayBuffer; readonly bytes: Uint8Array; at: number } | null = null;
  #turn: NodeJS.Immediate | null = null;

  /**
   * As many whole chunks as the store may have and the guest can fill; a guest of unknown size (null): none.
   */
  constructor(bytesMax: number, guestBytes: number | null) {
    this.#left = Math.floor(Math.min(bytesMax, guestBytes ?? 0) / CHUNK_BYTES);
    this.#next();
  }

  get readyChunks(): number {
    return this.#ready.length;
  }

  /** A chunk that is ready, or null; the caller owns it. The stream has begun: no more is made. */
  take(): SharedArrayBuffer | null {
    this.end();
    return this.#ready.pop() ?? null;
  }

  /** No more is made; what is ready stays. */
  end(): void {
    if (this.#turn) clearImmediate(this.#turn);
    this.#turn = null;
    this.#left = 0;
    this.#making = null;
  }

  #next(): void {
    if (this.#left > 0) this.#turn = setImmediate(() => this.#touch());
  }

  #touch(): void {
    if (this.#making === null) {
      const shared = new SharedArrayBuffer(CHUNK_BYTES);
      this.#making = { shared, bytes: new Uint8Array(shared), at: 0 };
    }
    const { shared, bytes, at } = this.#making;
    const end = Math.min(bytes.length, at + PAGES_A_TURN * PAGE_SIZE_BYTES);
    for (let byte = at; byte < end; byte += PAGE_SIZE_BYTES) bytes[byte] = 0;
    this.#making.at = end;
    if (end === bytes.length) {
      this.#ready.push(shared);
      this.#making = null;
      this.#left--;
    }
    this.#next();
  }
}
