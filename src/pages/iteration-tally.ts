/**
 * What the running iteration has counted of dirty pages. Whoever sees a page change writes the fields: they
 * are part of the hot path.
 */

export class IterationTally {
  /** Distinct pages that arrived in the first pass, or that were dirtied in a later iteration. */
  dirtyPages = 0;
  /** Of these, the ones that the hold in force does not keep back. */
  dirtyOutsideHoldPages = 0;
  /** Of these, how many lie in each region. An iteration's end hands it on. */
  regionHistogram: Uint32Array;

  constructor(regionCount: number) {
    this.regionHistogram = new Uint32Array(regionCount);
  }

  restart(): void {
    this.dirtyPages = 0;
    this.dirtyOutsideHoldPages = 0;
    this.regionHistogram = new Uint32Array(this.regionHistogram.length);
  }
}
