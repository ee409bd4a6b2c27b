/**
 * The far side of a paired migration: a destination gateway that lives as long as the channel that started it. It
 * decides nothing and owns no VM; the destination QEMU is told what to do over QMP, by the source's controller.
 */

import { mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { errorCode, errorMessage, GodwitError, systemClock } from '../base/index.ts';
import { DestinationGateway } from '../gateway/index.ts';
import { Link, type Listener, type SocketAddress, type Transport, tlsListen } from '../link/index.ts';
import { BATCH_FORMAT } from '../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { LINK_SILENCE_MS_MAX } from './far-side.ts';
import { LOAD_TIMEOUT_MS } from './options.ts';
import {
  LineCutter,
  parseLine,
  type ReceiveEvent,
  type ReceiveHello,
  receiveHello,
  receiveRequest,
} from './receive-messages.ts';

export interface ReceiveChannel {
  readonly input: NodeJS.ReadableStream;
  write(line: string): void;
}

export interface ReceiveProgress {
  onState(text: string): void;
}

/** Serves one migration over `channel`. Resolves when it has ended in order; rejects with why it has not. */
export async function receive(
  channel: ReceiveChannel,
  version: string,
  progress: ReceiveProgress,
  signal: AbortSignal,
): Promise<void> {
  const say = (event: ReceiveEvent) => channel.write(`${JSON.stringify(event)}\n`);
  const folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-receive-'));
  const receiver = new Receiver(folder, say, progress);
  const cutter = new LineCutter();
  channel.input.setEncoding('utf8');
  channel.input.on('data', (chunk) =>
    receiver.guard(() => receiver.onLines(cutter.push(String(chunk)), version)),
  );
  channel.input.on('end', () => receiver.onChannelEnd());
  signal.addEventListener('abort', () => receiver.onInterrupt(signal.reason), { once: true });
  try {
    await receiver.ended;
  } catch (error) {
    say({ event: 'error', code: errorCode(error), text: errorMessage(error) });
    throw error;
  } finally {
    await receiver.close();
    rmSync(folder, { recursive: true, force: true });
  }
}

class Receiver {
  readonly #folder: string;
  readonly #say: (event: ReceiveEvent) => void;
  readonly #progress: ReceiveProgress;
  readonly #end = Promise.withResolvers<void>();
  readonly #aborter = new AbortController();
  #hello: ReceiveHello | null = null;
  #listener: Listener | null = null;
  #link: Link | null = null;
  #gateway: DestinationGateway | null = null;

  constructor(folder: string, say: (event: ReceiveEvent) => void, progress: ReceiveProgress) {
    this.#folder = folder;
    this.#say = say;
    this.#progress = progress;
  }

  get ended(): Promise<void> {
    return this.#end.promise;
  }

  guard(step: () => void | Promise<void>): void {
    Promise.try(step).catch((error: unknown) => this.#fail(error));
  }

  async onLines(lines: readonly string[], version: string): Promise<void> {
    for (const line of lines) {
      if (this.#hello === null) await this.#begin(parseLine(receiveHello, line), version);
      else if (parseLine(receiveRequest, line).do === 'feed') await this.#feed();
    }
  }

  /** The source's controller is gone, or done. What is loaded stays loaded; what is not will not be. */
  onChannelEnd(): void {
    if (this.#gateway?.isComplete) this.#end.resolve();
    else
      this.#fail(
        new GodwitError('CHANNEL_CLOSED', 'the source closed the channel before the migration was complete'),
      );
  }

  onInterrupt(reason: unknown): void {
    this.#fail(reason);
  }

  async #begin(hello: ReceiveHello, version: string): Promise<void> {
    this.#hello = hello;
    const incoming = `unix:${path.join(this.#folder, 'incoming.sock')}`;
    this.#gateway = new DestinationGateway(
      {
        clock: systemClock,
        referencePagesMax: hello.referencePagesMax,
        prepareTimeoutMs: LOAD_TIMEOUT_MS,
        address: incoming,
      },
      (error) => this.#fail(error),
    );
    const gateway = this.#gateway;
    this.#link = new Link({
      migrationId: Buffer.from(hello.migrationId, 'hex'),
      laneCount: hello.lanes,
      capabilities: {
        role: 'destination',
        codecMask: 1 << (BATCH_FORMAT - 1),
        pageSizeBytes: PAGE_SIZE_BYTES,
        referencePagesMax: hello.referencePagesMax,
      },
      limits: { linkTimeoutMs: hello.linkTimeoutMs, silenceMsMax: LINK_SILENCE_MS_MAX },
      onMessage: (message, lane) => gateway.onMessage(message, lane),
      onEvent: (event) => this.#progress.onState(JSON.stringify(event)),
    });
    gateway.attach(this.#link);
    void this.#link.closed.then((error) => this.#onLinkClosed(error));
    const address: SocketAddress = { host: hello.listen.host ?? '::', port: hello.listen.port };
    const accept = (transport: Transport) => this.#link!.accept(transport);
    const key = Buffer.from(hello.key, 'hex');
    this.#listener = await tlsListen(address, { kind: 'psk', key }, accept, (error) =>
      this.#progress.onState(`refused: ${errorMessage(error)}`),
    );
    const bound = this.#listener.address;
    if (!('port' in bound)) throw new GodwitError('LINK_LISTEN', 'the data listener has no port');
    this.#say({ event: 'listening', version, port: bound.port, incoming });
    this.#progress.onState(`listening on port ${bound.port}`);
  }

  async #feed(): Promise<void> {
    await this.#gateway!.connect(this.#aborter.signal);
    this.#say({ event: 'feeding' });
  }

  #onLinkClosed(error: GodwitError | null): void {
    if (this.#gateway?.isComplete) {
      this.#say({ event: 'complete', pages: this.#gateway.pageTotal });
      this.#end.resolve();
    } else
      this.#fail(
        error ??
          new GodwitError('LINK_CLOSED', 'the source ended the link before the migration was complete'),
      );
  }

  #fail(error: unknown): void {
    this.#end.reject(error);
    this.#link?.abort(error);
  }

  async close(): Promise<void> {
    this.#aborter.abort();
    this.#gateway?.close();
    await this.#link?.close().catch(() => undefined);
    await this.#listener?.close();
  }
}
