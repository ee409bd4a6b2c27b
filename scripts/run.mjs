// @ts-check
/**
 * `node scripts/run.mjs FILE ARGUMENTS`: sets this machine up as for tests and runs FILE
 * under the pinned Node.
 */

import { join } from 'node:path';
import { LaunchError, launch, NODE_FLAGS, ROOT, runHere, usableNode } from '../bin/runtime.mjs';
import { splitOptions } from './options.mjs';
import { setUp } from './setup/index.mjs';

launch(async () => {
  const { assumeYes, rest } = splitOptions(process.argv.slice(2));
  const [file, ...args] = rest;
  if (file === undefined)
    throw new LaunchError('no file to run', 'nothing was run', 'npm run shows the scripts');
  await setUp({ purpose: 'test', assumeYes });
  return runHere(usableNode() ?? process.execPath, [...NODE_FLAGS, join(ROOT, file), ...args]);
});
