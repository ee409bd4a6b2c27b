#!/usr/bin/env node
// @ts-check
/** `godwit`: enters through any Node from 18 on and continues under the pinned Node 24. */

import { launch, runGodwit } from './runtime.mjs';

launch(() => runGodwit(process.argv.slice(2)));
