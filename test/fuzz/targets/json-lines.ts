/** Lines of JSON as a target's grammar: examples, joined in any order. */

import type { Prng } from '../../../src/base/index.ts';
import { mutateJson } from '../mutate.ts';

export function jsonGrammar(examples: readonly unknown[]) {
  const lines = examples.map((example) => `${JSON.stringify(example)}\n`);
  return {
    seeds: () => [...lines, lines.join('')].map((line) => Buffer.from(line)),
    generate: (prng: Prng) =>
      Buffer.from(Array.from({ length: 1 + prng.below(4) }, () => lines[prng.below(lines.length)]!).join('')),
    mutate: mutateJson,
    inputBytesMax: 64 * 1024,
  };
}
