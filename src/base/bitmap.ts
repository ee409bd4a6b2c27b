/** A fixed-size set of small integers on a Uint32Array. */

export class Bitmap {
  readonly sizeBits: number;
  readonly words: Uint32Array;

  constructor(sizeBits: number) {
    this.sizeBits = sizeBits;
    this.words = new Uint32Array((sizeBits + 31) >>> 5);
  }

  has(index: number): boolean {
    return ((this.words[index >>> 5]! >>> (index & 31)) & 1) === 1;
  }

  add(index: number): void {
    this.words[index >>> 5]! |= 1 << (index & 31);
  }

  delete(index: number): void {
    this.words[index >>> 5]! &= ~(1 << (index & 31));
  }

  clear(): void {
    this.words.fill(0);
  }

  count(): number {
    let total = 0;
    for (let word = 0; word < this.words.length; word++) total += popcount32(this.words[word]!);
    return total;
  }

  /** Smallest member at or above `from`, or -1. */
  next(from: number): number {
    if (from >= this.sizeBits) return -1;
    let word = from >>> 5;
    let bits = this.words[word]! & (-1 << (from & 31));
    while (bits === 0) {
      if (++word >= this.words.length) return -1;
      bits = this.words[word]!;
    }
    return word * 32 + (31 - Math.clz32(bits & -bits));
  }
}

export function popcount32(value: number): number {
  let bits = value - ((value >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
