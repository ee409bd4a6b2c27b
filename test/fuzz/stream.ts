/**
 * Long fuzzing of the stream decoders by command:
 *   node_modules/.bin/node test/fuzz/stream.ts --runs 100000 --seed 1
 * A failure prints the seed that replays it (`--runs 1 --seed N`). The bounded run is in stream.test.ts.
 */

import { parseArgs } from 'node:util';
import { checkDamaged, checkLegal, checkReturnPath } from './stream-check.ts';

const { values } = parseArgs({
  options: { runs: { type: 'string', default: '10000' }, seed: { type: 'string', default: '1' } },
});
const runs = Number(values.runs);
const first = Number(values.seed);
for (let run = 0; run < runs; run++) {
  const seed = first + run;
  for (const check of [checkLegal, checkDamaged, checkReturnPath]) {
    try {
      check(seed);
    } catch (error) {
      console.error(`${check.name} failed; replay: test/fuzz/stream.ts --runs 1 --seed ${seed}`);
      throw error;
    }
  }
  if ((run + 1) % 1000 === 0) console.log(`${run + 1} of ${runs}`);
}
console.log(`${runs} seeds from ${first}: nothing found`);
