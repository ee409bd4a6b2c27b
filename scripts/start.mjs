// @ts-check
/**
 * `npm start`: sets this machine up and runs `godwit demo` with the arguments given (`npm
 * start -- --strategy frs`).
 */

import { launch, runGodwit } from '../bin/runtime.mjs';
import { splitOptions } from './options.mjs';
import { setUp } from './setup/index.mjs';

launch(async () => {
  const { assumeYes, rest } = splitOptions(process.argv.slice(2));
  const onlyAsking = rest.some((arg) => arg === '--help' || arg === '-h');
  await setUp({ purpose: onlyAsking ? 'unit' : 'demo', assumeYes });
  return runGodwit(['demo', ...rest]);
});
