/**
 * The far side by hand: `godwit receive QMP --listen` waits on one port for one migration. Its connections
 * are the controller's channel, the link's, and ones that are passed on to the destination QEMU's QMP socket.
 * Those outlive channel and gateway, so that whoever ends an interrupted migration reaches the QEMU too
 * (docs/format/link.md, 8). It decides nothing and owns no VM.
 */

import { once } from 'node:events';
import type { Socket } from 'node:net';
import { errorCode, errorMessage, GodwitError } from '../base/index.ts';
import {
  type Listener,
  type StreamTransport,
  type TlsCredentials,
  tcpListen,
  tlsListen,
} from '../link/index.ts';
import {
  connectQmp,
  connectUnix,
  queryStatus,
  refuseLibvirtSocket,
  sweepPrivateFolders,
} from '../qmp/index.ts';
import {
  joinSocket,
  LineStream,
  NoLine,
  parseLine,
  type ReceiveHello,
  type ReceiveOpening,
  receiveOpening,
  receiveRequest,
} from '../remote/index.ts';
import { type ReceiveProgress, Receiver } from './gateway.ts';

export interface ReceiveListenOptions {
  readonly qmpPath: string;
  /** Port 0: any. */
  readonly listen: { readonly host: string; readonly port: number };
  /** null: in clear, for whoever comes first. */
  readonly credentials: TlsCredentials | null;
  /** How long recovery may still reach the QEMU through this process once the source is lost. */
  readonly lingerMs: number;
  readonly version: string;
}

export interface ListenProgress extends ReceiveProgress {
  /** Called once. */
  onListening(address: { readonly host: string; readonly port: number }, runState: string): void;
  /** Called once: from here on the source is told what is done here. */
  onBegun(): void;
  /** Now and then: pages received so far. */
  onPages(pages: number): void;
}

export interface ReceiveEnd {
  readonly outcome: 'completed' | 'aborted';
  readonly pages: number;
  /** Why the gateway could not go on, where it was the first to know. */
  readonly failure: { readonly code: string; readonly text: string } | null;
}

export const LINGER_MS_DEFAULT = 3_600_000;
const OPENING_TIMEOUT_MS = 10_000;
/** Connections that have not said yet what they are for, of people who have proved themselves. */
const UNKNOWN_MAX = 16;
const PAGES_EVERY_MS = 500;
const TLS_HANDSHAKE = 0x16;
const FRAME_START = 0x47;

/**
 * Resolves when the migration has ended, as the source said. Errors: QMP_*,
 * LINK_LISTEN, CHANNEL_CLOSED, `signal`'s reason.
 */
export async function receiveListening(
  options: ReceiveListenOptions,
  progress: ListenProgress,
  signal: AbortSignal,
): Promise<ReceiveEnd> {
  const runState = await runStateOf(options.qmpPath, signal);
  sweepPrivateFolders();
  const host = new ReceiveHost(options, progress);
  const onAbort = () => host.fail(signal.reason);
  try {
    progress.onListening(await host.listen(), runState);
    signal.addEventListener('abort', onAbort, { once: true });
    if (signal.aborted) onAbort();
    return await host.ended;
  } finally {
    signal.removeEventListener('abort', onAbort);
    await host.close();
  }
}

async function runStateOf(qmpPath: string, signal: AbortSignal): Promise<string> {
  await refuseLibvirtSocket(qmpPath);
  await using qmp = await connectQmp({ path: qmpPath, signal });
  return (await queryStatus(qmp)).status;
}

class ReceiveHost {
  readonly #options: ReceiveListenOptions;
  readonly #progress: ListenProgress;
  readonly #end = Promise.withResolvers<ReceiveEnd>();
  readonly #closing = new AbortController();
  readonly #streams = new Set<LineStream>();
  #unknown = 0;
  #listener: Listener | null = null;
  #port = 0;
  /** The migration that has begun. */
  #session: string | null = null;
  #receiver: Receiver | null = null;
  #failure: ReceiveEnd['failure'] = null;
  #accept: ((transport: StreamTransport) => void) | null = null;
  /** Connections to the QMP socket, and whose they are. */
  readonly #qmps = new Map<LineStream, string>();
  #linger: NodeJS.Timeout | null = null;
  #pagesTimer: NodeJS.Timeout | null = null;

  constructor(options: ReceiveListenOptions, progress: ListenProgress) {
    this.#options = options;
    this.#progress = progress;
    this.#end.promise.catch(() => undefined);
  }

  get ended(): Promise<ReceiveEnd> {
    return this.#end.promise;
  }

  async listen(): Promise<{ host: string; port: number }> {
    const { listen, credentials } = this.#options;
    const accept = (transport: StreamTransport) => this.#onConnection(transport);
    const refused = (error: Error) => this.#refused(errorCode(error), errorMessage(error));
    this.#listener =
      credentials === null
        ? await tcpListen(listen, accept)
        : await tlsListen(listen, credentials, accept, refused);
    const { address } = this.#listener;
    if (!('port' in address)) throw new GodwitError('LINK_LISTEN', 'the listener has no port');
    this.#port = address.port;
    return address;
  }

  fail(error: unknown): void {
    this.#end.reject(error);
  }

  async close(): Promise<void> {
    this.#closing.abort(new GodwitError('LINK_CLOSED', 'godwit receive ends'));
    if (this.#linger !== null) clearTimeout(this.#linger);
    if (this.#pagesTimer !== null) clearInterval(this.#pagesTimer);
    await this.#receiver?.close();
    // Those that were ended in order have their last words still to deliver.
    const leaving = [...this.#streams].map((stream) => {
      stream.end();
      return stream.closed;
    });
    await Promise.all(leaving);
    await this.#listener?.close();
  }

  #refused(code: string, text: string): void {
    this.#progress.onState(`refused [${code}]: ${text}`);
  }

  #onConnection(transport: StreamTransport): void {
    if (this.#unknown >= UNKNOWN_MAX || this.#closing.signal.aborted) {
      transport.destroy();
      return;
    }
    const stream = new LineStream(transport);
    this.#streams.add(stream);
    if (this.#linger !== null) clearTimeout(this.#linger);
    void stream.closed.then(() => {
      this.#streams.delete(stream);
      this.#awaitRecovery();
    });
    this.#serve(stream).catch((error: unknown) => this.#refuse(stream, error));
  }

  /** Nobody is connected any more, and nobody said that it was over. */
  #awaitRecovery(): void {
    if (this.#session === null || this.#streams.size > 0 || this.#closing.signal.aborted) return;
    if (this.#linger !== null) clearTimeout(this.#linger);
    this.#linger = setTimeout(
      () =>
        this.fail(
          new GodwitError('CHANNEL_CLOSED', 'the source was lost, and nobody came to end the migration', {
            safe: 'the destination QEMU is as it was left',
            hint: 'ask the source host with "godwit resolve"; it reaches this QEMU when godwit receive is started again',
          }),
        ),
      this.#options.lingerMs,
    );
  }

  #refuse(stream: LineStream, error: unknown): void {
    if (this.#closing.signal.aborted) return;
    const told = error instanceof NoLine ? this.#foreign(error) : error;
    const [code, text] = [errorCode(told), errorMessage(told)];
    this.#refused(code, `${stream.description}: ${text}`);
    stream.writeLine({ event: 'error', code, text });
    stream.end();
  }

  #foreign({ firstByte }: NoLine): GodwitError {
    if (firstByte === TLS_HANDSHAKE) {
      return new GodwitError('REACH_TLS', 'a TLS connection, and this side was started without certificates');
    }
    if (firstByte === FRAME_START) {
      return new GodwitError('RECEIVE_PROTOCOL', 'a data connection of a migration that has not begun here');
    }
    return new GodwitError('RECEIVE_PROTOCOL', 'a connection that does not speak as godwit does');
  }

  async #serve(stream: LineStream): Promise<void> {
    const opening = await this.#openingOf(stream);
    if (opening === null) return this.#accept!(stream);
    const session = opening.open === 'control' ? opening.hello.migrationId : opening.session;
    if (this.#session !== null && session !== this.#session) {
      throw new GodwitError('RECEIVE_BUSY', 'another migration is under way here');
    }
    if (opening.open === 'qmp') return this.#serveQmp(stream, session);
    if (opening.open === 'control') return this.#serveControl(stream, opening.hello);
    stream.writeLine({ event: 'ended' });
    const pages = this.#receiver?.pageTotal ?? 0;
    this.#end.resolve({ outcome: opening.outcome, pages, failure: this.#failure });
  }

  /** null: a connection of the link. */
  async #openingOf(stream: LineStream): Promise<ReceiveOpening | null> {
    this.#unknown++;
    const signal = AbortSignal.any([this.#closing.signal, AbortSignal.timeout(OPENING_TIMEOUT_MS)]);
    try {
      return parseLine(receiveOpening, await stream.readLine(signal));
    } catch (error) {
      if (error instanceof NoLine && error.firstByte === FRAME_START && this.#accept !== null) return null;
      throw error;
    } finally {
      this.#unknown--;
    }
  }

  async #serveControl(stream: LineStream, hello: ReceiveHello): Promise<void> {
    if (this.#receiver !== null) {
      throw new GodwitError('RECEIVE_BUSY', 'this migration has its channel already');
    }
    this.#session = hello.migrationId;
    this.#dropQmps(this.#session);
    const receiver = new Receiver({
      qmpPath: this.#options.qmpPath,
      version: this.#options.version,
      say: (event) => stream.writeLine(event),
      progress: this.#progress,
      listen: async (_hello, accept) => {
        this.#accept = accept;
        return { port: this.#port, close: async () => undefined };
      },
    });
    this.#receiver = receiver;
    this.#progress.onBegun();
    this.#progress.onState(`a migration begins: ${stream.description}`);
    this.#pagesTimer = setInterval(() => this.#progress.onPages(receiver.pageTotal), PAGES_EVERY_MS);
    void this.#watch(receiver, stream);
    receiver.guard(() => receiver.begin(hello));
    try {
      for (;;) {
        const request = parseLine(receiveRequest, await stream.readLine(this.#closing.signal));
        receiver.guard(() => receiver.request(request));
      }
    } catch (error) {
      if (errorCode(error) === 'RECEIVE_PROTOCOL') receiver.fail(error);
      else receiver.onChannelEnd();
    }
  }

  /** The gateway has ended, the migration has not: whoever ends it reaches the QEMU through this process. */
  async #watch(receiver: Receiver, stream: LineStream): Promise<void> {
    try {
      await receiver.ended;
      this.#progress.onState('everything is loaded; the source has the last word');
    } catch (error) {
      this.#failure = { code: errorCode(error), text: errorMessage(error) };
      this.#progress.onState(`the gateway ended [${this.#failure.code}]: ${this.#failure.text}`);
      stream.writeLine({ event: 'error', ...this.#failure });
    }
    if (this.#pagesTimer !== null) clearInterval(this.#pagesTimer);
    this.#progress.onPages(receiver.pageTotal);
    await receiver.close();
    stream.end();
  }

  /** Errors: QMP_CONNECT when nobody listens there any more. */
  async #serveQmp(stream: LineStream, session: string): Promise<void> {
    let socket: Socket | null = null;
    try {
      socket = connectUnix(this.#options.qmpPath);
      socket.on('error', () => undefined);
      await once(socket, 'connect', { signal: this.#closing.signal });
    } catch (error) {
      socket?.destroy();
      const isGone = ['ECONNREFUSED', 'ENOENT'].includes(errorCode(error));
      throw new GodwitError(
        isGone ? 'QMP_CONNECT' : 'QMP_CLOSED',
        `the QMP socket there cannot be opened: ${errorMessage(error)}`,
      );
    }
    // QEMU serves one client a socket. The newest connection of a migration counts, because an older one may
    // hang in a broken network.
    if (this.#session !== null) this.#dropQmps(null);
    this.#qmps.set(stream, session);
    void stream.closed.then(() => this.#qmps.delete(stream));
    stream.writeLine({ event: 'qmp' });
    joinSocket(stream, socket);
  }

  #dropQmps(spared: string | null): void {
    for (const [stream, session] of this.#qmps) if (session !== spared) stream.destroy();
  }
}
