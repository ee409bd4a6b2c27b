/**
 * `godwit demo`: a VM that plain pre-copy cannot move, and then its migration through godwit, on this one
 * machine.
 */

import type { CommandDefinition } from '../command.ts';
import { declareOptions, readDemoOptions } from '../demo/options.ts';
import { runDemo } from '../demo/run.ts';

export const command: CommandDefinition = {
  handlesInterrupts: true,
  configure: declareOptions,
  run: (context, _args, options) => runDemo(readDemoOptions(options), context),
};
