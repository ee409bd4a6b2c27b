/**
 * Long fuzzing of the link's and the page codec's decoders by command:
 *   node_modules/.bin/node test/fuzz/link.ts --runs 100000 --seed 1
 * A failure prints the seed that replays it (`--runs 1 --seed N`). The bounded run is in link.test.ts.
 */

import { parseArgs } from 'node:util';
import { checkDamagedBatch, checkRoundTrip } from './codec-check.ts';
import { checkFrames, checkMessages, checkSession } from './link-check.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const runs = Number(values.runs);
const first = Number(values.seed);
for (let seed = first; seed < first + runs; seed++) {
  for (const check of [checkFrames, checkMessages, checkSession, checkRoundTrip, checkDamagedBatch]) {
    try {
      check(seed);
    } catch (error) {
      console.error(`${check.name} failed; replay: test/fuzz/link.ts --runs 1 --seed ${seed}`);
      throw error;
    }
  }
  if ((seed - first + 1) % 1000 === 0) console.log(`${seed - first + 1} of ${runs}`);
}
console.log(`${runs} seeds from ${first}: nothing found`);
