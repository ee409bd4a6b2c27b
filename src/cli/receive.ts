/** `godwit receive`: the far side of a paired migration. Started over ssh by `godwit migrate`, it speaks on standard input and output. */

import { GodwitError } from '../base/index.ts';
import { receive } from '../controller/index.ts';
import type { CommandDefinition } from './command.ts';
import { EXIT } from './exit.ts';
import { packageVersion } from './version.ts';

export const command: CommandDefinition = {
  // A Ctrl-C in the terminal is for the source's godwit: it ends the migration, and so this side. A second one ends it here.
  handlesInterrupts: true,
  configure(cli) {
    cli.option(
      '--stdio',
      'take the migration and its key from standard input (how godwit migrate starts it)',
    );
  },
  async run(context, _args, options) {
    if (options['stdio'] !== true) {
      throw new GodwitError(
        'USAGE_RECEIVE',
        'godwit receive needs to be told where its migration comes from',
        {
          hint: 'godwit migrate SOURCE ssh://HOST/path starts it with --stdio',
        },
      );
    }
    const channel = { input: process.stdin, write: (line: string) => void context.out.write(line) };
    const progress = { onState: (text: string) => void context.err.write(`godwit receive: ${text}\n`) };
    await receive(channel, packageVersion(), progress, context.forced);
    return EXIT.ok;
  },
};
