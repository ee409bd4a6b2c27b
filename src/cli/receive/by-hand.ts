/** A far side that a person started: what it says while it waits, and how it ends. */

import { formatBytes, systemClock } from '../../base/index.ts';
import {
  type ListenProgress,
  type ReceiveEnd,
  type ReceiveListenOptions,
  receiveListening,
} from '../../receive/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../exit.ts';
import { liveView } from '../screen/live.ts';
import { painter, printable, wantsColour } from '../screen/output.ts';

const RECEIVE_SCHEMA = 'godwit.receive/1';

export async function receiveByHand(
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
