/**
 * Chooses inputs for a target: generated ones, and damaged ones of a corpus that grows by
 * whatever reached new code. Shrinks what fails. Not responsible for hangs and memory (watch.ts
 * sees them from another thread).
 */

import { Prng } from '../../src/base/index.ts';
import type { Coverage } from './coverage.ts';
import { mutateBytes } from './mutate.ts';
import { type Finding, type FuzzTarget, INPUT_BYTES_MAX, runTarget } from './target.ts';

const BATCH_INPUTS = 64;
const CORPUS_INPUTS_MAX = 4000;
const CORPUS_BEGINS_WITH = 8;
const SHRINK_RUNS_MAX = 300;

export interface Exploration {
  readonly inputs: number;
  readonly corpus: number;
  readonly findings: readonly Finding[];
}

export interface ExploreOptions {
  readonly seed: number;
  /** Asked between batches. */
  readonly goesOn: (inputs: number) => boolean;
  /** null: without guidance, and then the same inputs on every machine. */
  readonly coverage: Coverage | null;
  /** Before each run: whoever watches knows what hangs. */
  readonly onInput?: (input: Uint8Array) => void;
  readonly onFinding?: (finding: Finding) => void;
}

export async function explore(target: FuzzTarget, options: ExploreOptions): Promise<Exploration> {
  return new Explorer(target, options).explore();
}

class Explorer {
  readonly #target: FuzzTarget;
  readonly #options: ExploreOptions;
  readonly #prng: Prng;
  readonly #corpus: Uint8Array[] = [];
  readonly #findings = new Map<string, Finding>();
  #inputs = 0;

  constructor(target: FuzzTarget, options: ExploreOptions) {
    this.#target = target;
    this.#options = options;
    this.#prng = new Prng(options.seed);
  }

  async explore(): Promise<Exploration> {
    const { coverage, goesOn } = this.#options;
    const generated = Array.from({ length: CORPUS_BEGINS_WITH }, () => this.#target.generate(this.#prng));
    const seeds = [...generated, ...(this.#target.seeds?.() ?? [])];
    this.#corpus.push(...seeds);
    for (const seed of seeds) await this.#try(seed);
    coverage?.look();
    while (goesOn(this.#inputs)) {
      const batch = Array.from({ length: BATCH_INPUTS }, () => this.#next());
      for (const input of batch) await this.#try(input);
      if (coverage !== null) await this.#keepNew(batch, coverage);
      // The timers and sockets of asynchronous targets, and the messages of this thread, get their turn.
      await new Promise((resolve) => setImmediate(resolve));
    }
    return { inputs: this.#inputs, corpus: this.#corpus.length, findings: [...this.#findings.values()] };
  }

  #next(): Uint8Array {
    const { generate, mutate, words, inputBytesMax = INPUT_BYTES_MAX } = this.#target;
    const prng = this.#prng;
    if (prng.below(4) === 0) {
      return generate(prng).subarray(0, inputBytesMax);
    }
    // The newest are looked at more often: what they reached is new.
    const back = prng.below(2) === 0 ? Math.floor(prng.exponential() * 2) : prng.below(this.#corpus.length);
    const base = this.#corpus[Math.max(0, this.#corpus.length - 1 - back)] ?? generate(prng);
    if (mutate !== undefined && prng.below(4) > 0) return mutate(base, prng).subarray(0, inputBytesMax);
    const other = this.#corpus[prng.below(this.#corpus.length)] ?? base;
    return mutateBytes(base, other, prng, words).subarray(0, inputBytesMax);
  }

  async #try(input: Uint8Array): Promise<void> {
    this.#inputs++;
    this.#options.onInput?.(input);
    const finding = await runTarget(this.#target, input);
    if (finding === null || this.#findings.has(finding.signature)) return;
    const small = await this.#shrink(finding);
    this.#findings.set(finding.signature, small);
    this.#options.onFinding?.(small);
  }

  /** A batch that reached new code: the halves that did, down to single inputs, join the corpus. */
  async #keepNew(batch: readonly Uint8Array[], coverage: Coverage): Promise<void> {
    const known = coverage.snapshot();
    if (coverage.look() === 0) return;
    const search = async (part: readonly Uint8Array[]): Promise<void> => {
      for (const input of part) {
        this.#options.onInput?.(input);
        await runTarget(this.#target, input);
      }
      if (coverage.fresh(known) === 0) return;
      if (part.length === 1) this.#keep(part[0]!);
      else {
        const middle = part.length >>> 1;
        await search(part.slice(0, middle));
        await search(part.slice(middle));
      }
    };
    await search(batch.slice(0, BATCH_INPUTS >>> 1));
    await search(batch.slice(BATCH_INPUTS >>> 1));
  }

  #keep(input: Uint8Array): void {
    if (this.#corpus.length >= CORPUS_INPUTS_MAX) this.#corpus.splice(this.#prng.below(CORPUS_INPUTS_MAX), 1);
    this.#corpus.push(Uint8Array.from(input));
  }

  /** Takes pieces out, large ones first, as long as it fails in the same place. */
  async #shrink(finding: Finding): Promise<Finding> {
    let best = finding;
    let runs = 0;
    for (let size = best.input.length >>> 1; size >= 1; size >>>= 1) {
      for (let at = 0; at < best.input.length && runs < SHRINK_RUNS_MAX; runs++) {
        const input = Buffer.concat([best.input.subarray(0, at), best.input.subarray(at + size)]);
        this.#options.onInput?.(input);
        const again = await runTarget(this.#target, input);
        if (again?.signature === finding.signature) best = again;
        else at += size;
      }
    }
    return best;
  }
}
