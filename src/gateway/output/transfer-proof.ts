/**
 * What both gateways have counted of the pages between them: the far one proves at the end that it has handed
 * on the same number with the same checksum. Pure. Not responsible for asking: paired.ts.
 */

import { hexChecksum } from '../destination/pair-messages.ts';

export class TransferProof {
  #pageTotal = 0;
  #checksum = 0;

  get pageTotal(): number {
    return this.#pageTotal;
  }

  /** As PREPARE carries it. */
  get checksum(): string {
    return hexChecksum(this.#checksum);
  }

  /** A batch goes out. */
  count(pages: number, batchChecksum: number): void {
    this.#pageTotal += pages;
    this.#checksum = (this.#checksum + batchChecksum) >>> 0;
  }

  isMetBy(far: { readonly pageCount: number; readonly checksum: string }): boolean {
    return far.pageCount === this.#pageTotal && far.checksum === this.checksum;
  }
}
