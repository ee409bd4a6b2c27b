/**
 * Whether zstd pays on this link: pages per second through the encoders against pages per second
 * over the link, with and without it. Pure. Not responsible for single pages: the encoder leaves
 * out what looks incompressible.
 */

import { smoothed } from '../../base/index.ts';

/** While packing does not pay, one batch in this many is packed all the same, to notice a change. */
const PROBE_INTERVAL = 64;
const WEIGHT = 0.1;
/**
 * Packing pays if it is at least this share as fast as no packing, because it leaves more of the link to
 * others.
 */
const TIE_SHARE = 0.95;

export interface PackSample {
  /** Whole pages that zstd took, in bytes. */
  readonly packedBytes: number;
  readonly storedBytes: number;
  /** Time of the whole batch in its encoder. */
  readonly encodeMs: number;
  /** All bytes of the batch's pages. */
  readonly pageBytes: number;
}

export class PackChooser {
  readonly #encoders: number;
  #packedBytesPerMs: number | null = null;
  #storedShare: number | null = null;
  #sinceProbe = 0;
  #packing = true;

  constructor(encoders: number) {
    this.#encoders = encoders;
  }

  /** Bytes of pages that all encoders pack in a second; null before the first sample. */
  get packBytesPerSecond(): number | null {
    return this.#packedBytesPerMs === null ? null : this.#packedBytesPerMs * 1000 * this.#encoders;
  }

  observe(sample: PackSample): void {
    // A batch of deltas and zeros says nothing of what zstd does to whole pages.
    if (sample.packedBytes < sample.pageBytes / 2 || sample.encodeMs <= 0) return;
    this.#packedBytesPerMs = smoothed(this.#packedBytesPerMs, sample.pageBytes / sample.encodeMs, WEIGHT);
    this.#storedShare = smoothed(this.#storedShare, sample.storedBytes / sample.packedBytes, WEIGHT);
  }

  /**
   * For the next batch. `linkBytesPerSecond`: what the link delivers, null when not known:
   * then zstd is tried.
   */
  next(linkBytesPerSecond: number | null): boolean {
    this.#packing = this.#pays(linkBytesPerSecond);
    if (this.#packing) return true;
    this.#sinceProbe++;
    if (this.#sinceProbe < PROBE_INTERVAL) return false;
    this.#sinceProbe = 0;
    return true;
  }

  #pays(linkBytesPerSecond: number | null): boolean {
    const packBytesPerSecond = this.packBytesPerSecond;
    if (linkBytesPerSecond === null || packBytesPerSecond === null || this.#storedShare === null) return true;
    const packed = Math.min(packBytesPerSecond, linkBytesPerSecond / this.#storedShare);
    return packed >= linkBytesPerSecond * TIE_SHARE;
  }
}
