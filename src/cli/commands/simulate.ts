/**
 * `godwit simulate`: strategies against a modelled guest and link. Not responsible for the model
 * (src/simulator).
 */

import type { CommandDefinition } from '../command.ts';
import { declareSimulationOptions } from '../simulate/options.ts';
import { runSimulate } from '../simulate/run.ts';

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('[sweep]', '"sweep" runs a plan on all cores')
      .argument('[plan]', 'the plan file (YAML)');
    declareSimulationOptions(command);
    command
      .option('--plot <folder>', "a picture of each strategy's first run goes there, STRATEGY.svg")
      .option('--out <folder>', 'for sweep: where results go (default: ./results/PLAN)')
      .option('--workers <count>', 'for sweep: how many runs at once (default: all cores)');
  },
  async run(context, args, options) {
    if (args.length > 0) return (await import('../simulate/sweep.ts')).runSweep(context, args, options);
    return runSimulate(context, options);
  },
};
