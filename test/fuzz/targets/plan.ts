/** Plan files of the lab and the simulator. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse as parseYaml, stringify } from 'yaml';
import { GodwitError, type Prng } from '../../../src/base/index.ts';
import { cellsOf, parsePlan } from '../../../src/lab/index.ts';
import { variantsOf } from '../../../src/simulator/index.ts';
import { mutateBytes, mutateJsonLine } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

const PLANS = join(import.meta.dirname, '../../../plans');

function plans(): Buffer[] {
  return readdirSync(PLANS)
    .filter((name) => /\.ya?ml$/.test(name))
    .map((name) => readFileSync(join(PLANS, name)));
}

const BOMB = `a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\nd: [*c,*c,*c,*c,*c,*c]\n`;
const WORDS = ['&a ', '*a', '<<: ', '- ', ': ', '!!js ', '!!binary ', '|\n', '? ', '{', '[', '"', '---\n'];

/** YAML is JSON too: a plan's tree is changed and written as one line. */
function mutate(bytes: Uint8Array, prng: Prng): Uint8Array {
  if (prng.below(2) === 0) return mutateBytes(bytes, bytes, prng, WORDS);
  try {
    const line = Buffer.from(JSON.stringify(parseYaml(Buffer.from(bytes).toString('utf8'))));
    return mutateJsonLine(line, prng) ?? bytes;
  } catch {
    return mutateBytes(bytes, bytes, prng, WORDS);
  }
}

const grammar = {
  seeds: () => [...plans(), Buffer.from(BOMB)],
  generate: (prng: Prng) => {
    const all = plans();
    return all[prng.below(all.length)]!;
  },
  mutate,
  inputBytesMax: 32 * 1024,
};

export const plan: FuzzTarget = {
  name: 'plan',
  codes: /^LAB_PLAN$/,
  ...grammar,
  run: (bytes) => void cellsOf(parsePlan(Buffer.from(bytes).toString('utf8'))),
};

const RANGED = {
  ranges: { link: ['1Gbit', '10Gbit'], memory: ['1G', '2G'], hot: ['4M'] },
  draw: { count: 3, link: ['1Gbit'], hotShare: { from: 0.01, to: 0.1 }, rateOverLink: { from: 0.1, to: 2 } },
};

/** Also what the ranges and draws of a sweep make of a plan. */
export const sweepRanges: FuzzTarget = {
  name: 'sweep-ranges',
  codes: /^(LAB_PLAN|SWEEP_RANGES|USAGE_VALUE)$/,
  ...grammar,
  seeds: () => plans().map((text) => Buffer.from(JSON.stringify({ ...parseYaml(String(text)), ...RANGED }))),
  run: (bytes) => {
    let document: unknown;
    try {
      document = parseYaml(Buffer.from(bytes).toString('utf8'));
    } catch {
      throw new GodwitError('SWEEP_RANGES', 'no YAML');
    }
    const variants = variantsOf(document);
    for (const variant of variants.slice(0, 5)) parsePlan(stringify(variant.document));
  },
};
