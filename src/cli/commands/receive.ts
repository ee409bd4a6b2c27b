import { LINGER_MS_DEFAULT, receive } from '../../receive/index.ts';
import type { CommandContext, CommandDefinition } from '../command.ts';
import { EXIT } from '../exit.ts';
import { declareTls } from '../migrate/tls-options.ts';
import { receiveByHand } from '../receive/by-hand.ts';
import { readReceiveOptions } from '../receive/options.ts';
import { printable } from '../screen/output.ts';
import { packageVersion } from '../version.ts';

export const command: CommandDefinition = {
  // Over ssh a Ctrl-C in the terminal reaches the source's godwit, which ends the migration and with it this
  // side. A second Ctrl-C ends this side directly.
  handlesInterrupts: true,
  configure(cli) {
    cli
      .argument('[destination]', 'the QEMU that waits (-incoming defer), as qmp:/path/of/its/qmp.sock')
      .option('--listen <host:port>', 'wait here for the migration, which needs no other port')
      .option(
        '--insecure',
        'allow a migration in clear and from anybody: whoever reaches the port controls the QEMU and sees the guest',
      )
      .option(
        '--linger <time>',
        'how long recovery may reach the QEMU through here once the source is lost',
        `${LINGER_MS_DEFAULT / 60_000}m`,
      )
      .option('--json', 'print the end as one JSON object on standard output, and progress on standard error')
      .option(
        '--stdio',
        'take the migration and its key from standard input (how godwit migrate starts it through ssh)',
      );
    declareTls(cli);
  },
  async run(context, args, options) {
    if (options['stdio'] === true) return overStdio(context);
    return receiveByHand(context, readReceiveOptions(args, options), options['json'] === true);
  },
};

async function overStdio(context: CommandContext): Promise<number> {
  const channel = { input: process.stdin, write: (line: string) => void context.out.write(line) };
  const progress = {
    onState: (text: string) => void context.err.write(`godwit receive: ${printable(text)}\n`),
  };
  await receive(channel, packageVersion(), progress, context.forced);
  return EXIT.ok;
}
