/** Seeded random numbers (sfc32, seeded through splitmix32): the same seed gives the same run everywhere. */

export class Prng {
  #a: number;
  #b: number;
  #c: number;
  #counter = 1;

  constructor(seed: number) {
    let state = seed >>> 0;
    const next = () => {
      state = (state + 0x9e3779b9) >>> 0;
      let mixed = state ^ (state >>> 16);
      mixed = Math.imul(mixed, 0x21f0aaad);
      mixed ^= mixed >>> 15;
      mixed = Math.imul(mixed, 0x735a2d97);
      return mixed ^ (mixed >>> 15);
    };
    this.#a = next();
    this.#b = next();
    this.#c = next();
    for (let round = 0; round < 12; round++) this.u32();
  }

  /**
   * The bits of u32 as a signed number: all state is, because an unsigned one above 2^31 is no small integer
   * to V8 and costs ten times as much.
   */
  i32(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0;
    return sum;
  }

  /** Uniform over 0 .. 2^32 - 1. */
  u32(): number {
    return this.i32() >>> 0;
  }

  /** Uniform over [0, 1). */
  unit(): number {
    return this.u32() / 0x1_0000_0000;
  }

  /** Uniform over 0 .. limit - 1; `limit` below 2^32. */
  below(limit: number): number {
    return Math.floor(this.unit() * limit);
  }

  /** Exponential with mean 1. */
  exponential(): number {
    return -Math.log(1 - this.unit());
  }

  /** Standard normal (Box-Muller). */
  normal(): number {
    return Math.sqrt(2 * this.exponential()) * Math.cos(2 * Math.PI * this.unit());
  }

  /** An independent generator, for a part that must not disturb the others' sequence. */
  fork(): Prng {
    return new Prng(this.u32());
  }
}
