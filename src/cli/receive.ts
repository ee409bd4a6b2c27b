/** `godwit receive`: the far side of a paired migration. Started over ssh by `godwit migrate`, it speaks on standard input and output. */

import { GodwitError } from '../base/index.ts';
import { receive } from '../controller/index.ts';
import type { CommandDefinition } from './command.ts';
import { EXIT } from './exit.ts';
import { packageVersion } from './version.ts';

export const command: CommandDefinition = {
  configure(cli) {
    cli.option('--stdio', 'take the migration and its key from standard input (how godwit migrate starts it)');
  },
  async run(context, _args, options) {
    if (options['stdio'] !== true) {
      throw new GodwitError('USAGE_RECEIVE', 'godwit receive needs to be told where its migration comes from', {
        hint: 'godwit migrate SOURCE ssh://HOST/path starts it with --stdio',
      });
    }
    const channel = { input: process.stdin, write: (line: string) => void context.out.write(line) };
    await receive(channel, packageVersion(), {
      onState: (text) => void context.err.write(`godwit receive: ${text}\n`),
    });
    return EXIT.ok;
  },
};
