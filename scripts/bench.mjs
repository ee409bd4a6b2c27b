// @ts-check
/**
 * `npm run bench`: sets this machine up and runs bench/main.ts under the pinned Node
 * (`-- --only NAME --json`).
 */

import { join } from 'node:path';
import { launch, NODE_FLAGS, ROOT, runHere, usableNode } from '../bin/runtime.mjs';
import { splitOptions } from './options.mjs';
import { setUp } from './setup/index.mjs';

launch(async () => {
  const { assumeYes, rest } = splitOptions(process.argv.slice(2));
  await setUp({ purpose: 'bench', assumeYes });
  return runHere(usableNode() ?? process.execPath, [...NODE_FLAGS, join(ROOT, 'bench', 'main.ts'), ...rest]);
});
