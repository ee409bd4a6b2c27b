/**
 * A guest's memory as a map, into which batches are applied as a destination QEMU applies them. For tests.
 */

import type { PageSink } from './applier.ts';

const PAGE = 4096;

export function pageMap(pages: Map<number, Buffer>): PageSink {
  return {
    page: (page, source, offset) => pages.set(page, Buffer.from(source.subarray(offset, offset + PAGE))),
    zero: (page) => pages.set(page, Buffer.alloc(PAGE)),
    delta: (page, source, from, to) => {
      const changed = Buffer.from(pages.get(page) ?? Buffer.alloc(PAGE));
      patch(changed, source.subarray(from, to));
      pages.set(page, changed);
    },
  };
}

/** By the book (docs/xbzrle.txt): uleb128 of bytes that stay, uleb128 of bytes that change, those bytes. */
export function patch(page: Buffer, delta: Uint8Array): void {
  let at = 0;
  let byte = 0;
  const number = () => {
    let value = 0;
    for (let scale = 1; ; scale *= 128) {
      const next = delta[at++]!;
      value += (next % 128) * scale;
      if (next < 128) return value;
    }
  };
  while (at < delta.length) {
    byte += number();
    for (let count = number(); count > 0; count--) page[byte++] = delta[at++]!;
  }
}
