/**
 * `godwit receive`: the far side of a paired migration. By hand it waits for one at an address (--listen); started by
 * `godwit migrate` through ssh it speaks on standard input and output (--stdio). Not responsible for the migration.
 */

import { formatBytes, GodwitError, parseDurationMs, systemClock } from '../../base/index.ts';
import { parseQmpEndpoint } from '../../controller/index.ts';
import {
  LINGER_MS_DEFAULT,
  type ListenProgress,
  type ReceiveEnd,
  type ReceiveListenOptions,
  receive,
  receiveListening,
} from '../../receive/index.ts';
import { loadTls } from '../../remote/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { CommandContext, CommandDefinition, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { declareTls, readHostPort, readTls, strayTls } from '../migrate/tls-options.ts';
import { liveView } from '../screen/live.ts';
import { painter, printable, wantsColour } from '../screen/output.ts';
import { packageVersion } from '../version.ts';

export const RECEIVE_SCHEMA = 'godwit.receive/1';

export const command: CommandDefinition = {
  // Over ssh a Ctrl-C in the terminal is for the source's godwit: it ends the migration, and so this side. A second one ends it here.
  handlesInterrupts: true,
  configure(cli) {
    cli
      .argument('[destination]', 'the QEMU that waits (-incoming defer), as qmp:/path/of/its/qmp.sock')
      .option('--listen <host:port>', 'wait here for the migration, which needs no other port')
      .option(
        '--insecure',
        'allow it in clear and from anybody: who reaches the port controls the QEMU and sees the guest',
      )
      .option(
        '--linger <time>',
        'how long recovery may reach the QEMU through here once the source is lost',
        `${LINGER_MS_DEFAULT / 60_000}m`,
      )
      .option('--json', 'the end as one JSON object on standard output, progress on standard error')
      .option(
        '--stdio',
        'take the migration and its key from standard input (how godwit migrate starts it through ssh)',
      );
    declareTls(cli);
  },
  async run(context, args, options) {
    if (options['stdio'] === true) return overStdio(context);
    return byHand(context, readOptions(args, options), options['json'] === true);
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

/** Errors: USAGE_*. */
function readOptions([destination]: readonly string[], options: CommandOptions): ReceiveListenOptions {
  if (destination === undefined || options['listen'] === undefined) {
    throw new GodwitError('USAGE_RECEIVE', 'godwit receive needs to know its QEMU and where to wait', {
      safe: 'nothing was started or changed',
      hint: 'godwit receive qmp:/path/of/the/qmp.sock --listen HOST:PORT --tls-cert … --tls-key … --tls-ca …; or let godwit migrate SOURCE ssh://HOST/path start it',
    });
  }
  const isInsecure = options['insecure'] === true;
  const stray = strayTls(options);
  if (isInsecure && stray !== null) {
    throw new GodwitError('USAGE_VALUE', `--insecure does without certificates, ${stray} names one`, {
      safe: 'nothing was started or changed',
      hint: 'leave one of them out',
    });
  }
  return {
    qmpPath: parseQmpEndpoint(destination),
    listen: readHostPort(String(options['listen']), 'address to listen on'),
    credentials: isInsecure ? null : loadTls(readTls(options, null)),
    lingerMs: parseDurationMs(String(options['linger'])),
    version: packageVersion(),
  };
}

async function byHand(
  context: CommandContext,
  options: ReceiveListenOptions,
  json: boolean,
): Promise<number> {
  const view = liveView(context.err, systemClock);
  const paint = painter(wantsColour(context.err));
  const asked = new AbortController();
  let hasBegun = false;
  const onInterrupt = () => {
    if (!hasBegun) asked.abort(context.interrupted.reason);
    else
      view.log('a migration is under way: end it at the source (Ctrl-C there), or here with a second Ctrl-C');
  };
  context.interrupted.addEventListener('abort', onInterrupt, { once: true });
  const progress: ListenProgress = {
    onListening({ host, port }, runState) {
      const scheme = options.credentials === null ? 'tcp' : 'tls';
      if (options.credentials === null) view.log(paint('yellow', INSECURE));
      view.log(
        `the QEMU is "${runState}"; waiting for a migration: godwit migrate SOURCE ${scheme}://HOST:${port}`,
      );
      view.log(`listening on ${host.includes(':') ? `[${host}]` : host}:${port}`);
    },
    onBegun: () => {
      hasBegun = true;
    },
    onState: (text) => view.log(printable(text)),
    onPages: (pages) =>
      view.update([`received ${pages} pages, ${formatBytes(pages * PAGE_SIZE_BYTES)} of memory`]),
  };
  let end: ReceiveEnd;
  try {
    end = await receiveListening(options, progress, AbortSignal.any([asked.signal, context.forced]));
  } finally {
    context.interrupted.removeEventListener('abort', onInterrupt);
    view.close();
  }
  const success = end.outcome === 'completed';
  if (json) context.out.write(`${JSON.stringify({ schema: RECEIVE_SCHEMA, success, ...end })}\n`);
  else context.out.write(`${endText(end)}\n`);
  return success ? EXIT.ok : EXIT.failed;
}

const INSECURE =
  '--insecure: whoever reaches this port controls the QEMU, and the guest\u2019s memory crosses the network in clear';

function endText({ outcome, pages, failure }: ReceiveEnd): string {
  if (outcome === 'completed') return `the VM is here; ${pages} pages received`;
  const why = failure === null ? '' : ` [${failure.code}]: ${printable(failure.text)}`;
  return `not moved, the source has the VM${why}`;
}
