/**
 * Which code of ours an input reached that no earlier one had: V8's precise block coverage through the
 * inspector, in this very thread. About 5 ms a look, so it is taken for a batch of inputs at once. Not
 * responsible for what is done with the answer.
 */

import { Session } from 'node:inspector';

interface Range {
  readonly startOffset: number;
  readonly endOffset: number;
  readonly count: number;
}
interface Script {
  readonly url: string;
  readonly functions: readonly { readonly ranges: readonly Range[] }[];
}

export class Coverage {
  readonly #session = new Session();
  readonly #of: (url: string) => boolean;
  /** By script, a byte for each character of its text: 1 where some input has been. */
  readonly #seen = new Map<string, Uint8Array>();
  #characters = 0;

  constructor(of: (url: string) => boolean) {
    this.#of = of;
    this.#session.connect();
    this.#post('Profiler.enable');
    // Counts begin anew at each look, which is what tells one batch from the next.
    this.#post('Profiler.startPreciseCoverage', { callCount: true, detailed: true });
  }

  /** Characters of source seen so far. */
  get characters(): number {
    return this.#characters;
  }

  /** How many characters of source were reached since the last look that had never been reached before. */
  look(): number {
    const before = this.#characters;
    for (const [url, reached] of this.#reached()) {
      const seen = grown(this.#seen.get(url), reached.length);
      this.#seen.set(url, seen);
      for (let at = 0; at < reached.length; at++) {
        if (reached[at] === 1 && seen[at] === 0) {
          seen[at] = 1;
          this.#characters++;
        }
      }
    }
    return this.#characters - before;
  }

  /** Forgets what ran since the last look. */
  skip(): void {
    this.#post('Profiler.takePreciseCoverage');
  }

  /** Characters of source that were reached since the last look and are not in `known`: see `snapshot`. */
  fresh(known: ReadonlyMap<string, Uint8Array>): number {
    let count = 0;
    for (const [url, reached] of this.#reached()) {
      const before = known.get(url);
      for (let at = 0; at < reached.length; at++) if (reached[at] === 1 && before?.[at] !== 1) count++;
    }
    return count;
  }

  snapshot(): ReadonlyMap<string, Uint8Array> {
    return new Map([...this.#seen].map(([url, seen]) => [url, Uint8Array.from(seen)]));
  }

  close(): void {
    this.#session.disconnect();
  }

  *#reached(): Generator<[string, Uint8Array]> {
    const { result } = this.#post('Profiler.takePreciseCoverage') as { result: Script[] };
    for (const { url, functions } of result) {
      if (!this.#of(url)) continue;
      const ranges = functions.flatMap((one) => one.ranges);
      const reached = new Uint8Array(ranges.reduce((end, range) => Math.max(end, range.endOffset), 0));
      // Outer ranges come before inner ones, so the innermost has the last word.
      for (const { startOffset, endOffset, count } of ranges) {
        reached.fill(count > 0 ? 1 : 0, startOffset, endOffset);
      }
      yield [url, reached];
    }
  }

  /** The inspector of one's own thread answers before `post` returns. */
  #post(method: string, parameters: object = {}): unknown {
    let answer: unknown;
    this.#session.post(method, parameters, (error, result) => {
      if (error) throw error;
      answer = result;
    });
    return answer;
  }
}

function grown(bytes: Uint8Array | undefined, length: number): Uint8Array {
  if (bytes !== undefined && bytes.length >= length) return bytes;
  const larger = new Uint8Array(length);
  if (bytes !== undefined) larger.set(bytes);
  return larger;
}
