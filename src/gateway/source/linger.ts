/**
 * A batch costs as much as the deltas of some hundred pages, and QEMU's stream comes 16 pages a read. So a
 * few pages wait for more, for a time too short to show in a downtime. Not responsible for which pages go.
 */

const WORTH_PAGES = 512;
const LINGER_MS = 4;

export class Linger {
  readonly #onTime: () => void;
  #timer: NodeJS.Timeout | null = null;
  #isOver = false;

  /** `onTime`: the wait is over; the next `waits` says so. */
  constructor(onTime: () => void) {
    this.#onTime = onTime;
  }

  /** Whether `count` pages that could go now do so later. */
  waits(count: number): boolean {
    if (count === 0 || count >= WORTH_PAGES || this.#isOver) {
      this.#isOver = false;
      return false;
    }
    this.#timer ??= setTimeout(() => {
      this.#timer = null;
      this.#isOver = true;
      this.#onTime();
    }, LINGER_MS);
    return true;
  }

  close(): void {
    if (this.#timer) clearTimeout(this.#timer);
  }
}
