import { GodwitError } from '../../base/index.ts';
import type { CommandDefinition } from '../command.ts';
import { showTrace } from '../trace/info.ts';
import { anonymizeTrace, plotTrace, synthesizeTrace } from '../trace/write.ts';

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('<info|plot|synthesize|anonymize>', 'what to do')
      .argument('<file>', 'the trace')
      .argument('[out]', 'plot, anonymize: the file to write')
      .option('--link <rate>', 'info: also the best stop on a link like this')
      .option('--downtime-limit <time>', 'info: the limit for that', '300ms')
      .option('--workload <name>', 'synthesize: as in godwit simulate, with the options below', 'uniform')
      .option('--memory <size>', 'synthesize: memory of the guest', '256M')
      .option('--hot <size>', 'synthesize: what it keeps writing')
      .option('--rate <rate|max>', 'synthesize: how fast it writes')
      .option('--zipf <exponent>', 'synthesize: exponent of the workload zipf', '0.99')
      .option('--busy <time>', 'synthesize: how long the workload phased writes', '2s')
      .option('--quiet <time>', 'synthesize: how long the workload phased rests', '2s')
      .option('--seed <number>', 'synthesize: seed of the writes', '1')
      .option('--duration <time>', 'synthesize: how long the trace is', '30s')
      .option('--interval <time>', 'synthesize: how much time each set of written pages covers', '250ms')
      .option('--json', 'info: print one JSON object instead of text');
  },
  async run(context, [action = '', file = '', out], options) {
    switch (action) {
      case 'info':
        return showTrace(context, file, options);
      case 'plot':
        return plotTrace(context, file, out);
      case 'synthesize':
        return synthesizeTrace(context, file, options);
      case 'anonymize':
        return anonymizeTrace(context, file, out);
      default:
        throw new GodwitError('USAGE_VALUE', `godwit trace cannot "${action.slice(0, 64)}"`, {
          hint: 'godwit trace info, plot, synthesize or anonymize, and a file',
          safe: 'nothing was changed',
        });
    }
  },
};
