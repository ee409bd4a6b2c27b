/**
 * The far side of a paired migration over standard input and output, as `godwit migrate` starts it through
 * ssh. It lives as long as the channel that started it. Not responsible for the gateway itself: gateway.ts.
 */

import { errorCode, errorMessage, GodwitError } from '../base/index.ts';
import { tlsListen } from '../link/index.ts';
import { sweepPrivateFolders } from '../qmp/index.ts';
import { LineCutter, parseLine, type ReceiveEvent, receiveHello, receiveRequest } from '../remote/index.ts';
import { type ReceiveProgress, Receiver, type ReceiverOptions } from './gateway.ts';

export interface ReceiveChannel {
  readonly input: NodeJS.ReadableStream;
  write(line: string): void;
}

/** Serves one migration over `channel`. Resolves when it has ended in order; rejects with why it has not. */
export async function receive(
  channel: ReceiveChannel,
  version: string,
  progress: ReceiveProgress,
  signal: AbortSignal,
): Promise<void> {
  const say = (event: ReceiveEvent) => channel.write(`${JSON.stringify(event)}\n`);
  // What the one before left behind that was killed.
  sweepPrivateFolders();
  const receiver = new Receiver({ qmpPath: null, version, say, progress, listen: listenWithKey });
  const cutter = new LineCutter();
  channel.input.setEncoding('utf8');
  channel.input.on('data', (chunk) => receiver.guard(() => onLines(receiver, cutter.push(String(chunk)))));
  channel.input.on('end', () => receiver.onChannelEnd());
  signal.addEventListener('abort', () => receiver.fail(signal.reason), { once: true });
  try {
    await receiver.ended;
  } catch (error) {
    say({ event: 'error', code: errorCode(error), text: errorMessage(error) });
    throw error;
  } finally {
    await receiver.close();
  }
}

async function onLines(receiver: Receiver, lines: readonly string[]): Promise<void> {
  for (const line of lines) {
    if (receiver.hasBegun) await receiver.request(parseLine(receiveRequest, line));
    else await receiver.begin(parseLine(receiveHello, line));
  }
}

/** A port of its own for this migration, guarded by its key. */
const listenWithKey: ReceiverOptions['listen'] = async (hello, accept, onRefused) => {
  if (hello.key === null) {
    throw new GodwitError('RECEIVE_PROTOCOL', 'a migration over standard input comes with a key');
  }
  const key = Buffer.from(hello.key, 'hex');
  const address = { host: hello.listen.host ?? '::', port: hello.listen.port };
  const listener = await tlsListen(address, { kind: 'psk', key }, accept, onRefused);
  const bound = listener.address;
  if (!('port' in bound)) throw new GodwitError('LINK_LISTEN', 'the data listener has no port');
  return { port: bound.port, close: () => listener.close() };
};
