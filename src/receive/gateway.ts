/**
 * The destination gateway of one migration, as its channel tells it to work: link, gateway, and what is said
 * of them. It decides nothing and owns no VM. Not responsible for the channel: stdio.ts, listener.ts.
 */

import { errorMessage, GodwitError, systemClock } from '../base/index.ts';
import { DestinationGateway, LOAD_TIMEOUT_MS } from '../gateway/index.ts';
import { Link, type LinkEvent, type Transport } from '../link/index.ts';
import { findSocketPlace, processOfThread, SocketFolder } from '../qmp/index.ts';
import type { ReceiveEvent, ReceiveHello, ReceiveRequest } from '../remote/index.ts';
import { linkTerms } from '../remote/index.ts';
import { keepTidy } from './keeper.ts';

const INCOMING = 'incoming.sock';

export interface ReceiveProgress {
  onState(text: string): void;
}

/** Where data connections come in. */
export interface DataListener {
  readonly port: number;
  close(): Promise<void>;
}

export interface ReceiverOptions {
  /**
   * The QMP socket of the destination QEMU, where this side was told it by hand; null: the source says it.
   */
  readonly qmpPath: string | null;
  readonly version: string;
  readonly say: (event: ReceiveEvent) => void;
  readonly progress: ReceiveProgress;
  readonly listen: (
    hello: ReceiveHello,
    accept: (transport: Transport) => void,
    onRefused: (error: unknown) => void,
  ) => Promise<DataListener>;
}

export class Receiver {
  readonly #options: ReceiverOptions;
  readonly #end = Promise.withResolvers<void>();
  readonly #aborter = new AbortController();
  #begun = false;
  #folder: SocketFolder | null = null;
  #letKeeperGo = () => {};
  #listener: DataListener | null = null;
  #link: Link | null = null;
  #gateway: DestinationGateway | null = null;

  constructor(options: ReceiverOptions) {
    this.#options = options;
    this.#end.promise.catch(() => undefined);
  }

  /**
   * Resolves when everything is loaded and the source has closed the link or the channel; rejects with why
   * that will not be.
   */
  get ended(): Promise<void> {
    return this.#end.promise;
  }

  get hasBegun(): boolean {
    return this.#begun;
  }

  get pageTotal(): number {
    return this.#gateway?.pageTotal ?? 0;
  }

  guard(step: () => void | Promise<void>): void {
    Promise.try(step).catch((error: unknown) => this.fail(error));
  }

  async begin(hello: ReceiveHello): Promise<void> {
    this.#begun = true;
    const { progress, say, version } = this.#options;
    const incoming = await this.#findIncoming(hello);
    const gateway = new DestinationGateway(
      {
        clock: systemClock,
        prepareTimeoutMs: LOAD_TIMEOUT_MS,
        address: `unix:${incoming.here}`,
      },
      (error) => this.fail(error),
    );
    this.#gateway = gateway;
    const link = new Link({
      migrationId: Buffer.from(hello.migrationId, 'hex'),
      laneCount: hello.lanes,
      ...linkTerms('destination', hello.linkTimeoutMs),
      onMessage: (message, lane) => gateway.onMessage(message, lane),
      onEvent: (event) => progress.onState(linkText(event)),
    });
    this.#link = link;
    gateway.attach(link);
    void link.closed.then((error) => this.#onLinkClosed(error));
    this.#listener = await this.#options.listen(
      hello,
      (transport) => link.accept(transport),
      (error) => progress.onState(`refused: ${errorMessage(error)}`),
    );
    say({
      event: 'listening',
      version,
      port: this.#listener.port,
      incoming: `unix:${incoming.there}`,
    });
  }

  /** As this side and as its QEMU names it. Errors: SOCKET_FOLDER. */
  async #findIncoming({ incoming, qemu }: ReceiveHello): Promise<{ here: string; there: string }> {
    if (incoming !== null) return { here: incoming, there: incoming };
    this.#folder = await this.#makeFolder(qemu);
    // libvirt tidies its own folder.
    this.#letKeeperGo = keepTidy(this.#folder.here(INCOMING));
    return { here: this.#folder.here(INCOMING), there: this.#folder.there(INCOMING) };
  }

  /** Errors: SOCKET_FOLDER. */
  async #makeFolder(qemu: ReceiveHello['qemu']): Promise<SocketFolder> {
    const seen = qemu?.threadId == null ? null : await processOfThread(qemu.threadId);
    const qmpPath = this.#options.qmpPath ?? qemu?.qmpPath ?? null;
    return SocketFolder.make(await findSocketPlace({ role: 'listens', qemu: seen, qmpPath }));
  }

  async request(asked: ReceiveRequest): Promise<void> {
    if (asked.do !== 'feed' || this.#gateway === null) return;
    await this.#gateway.connect(this.#aborter.signal);
    this.#options.say({ event: 'feeding' });
  }

  /** The source's controller is gone, or done. What is loaded stays loaded; what is not will not be. */
  onChannelEnd(): void {
    if (this.#gateway?.isComplete) this.#end.resolve();
    else
      this.fail(
        new GodwitError('CHANNEL_CLOSED', 'the source closed the channel before the migration was complete'),
      );
  }

  fail(error: unknown): void {
    this.#end.reject(error);
    this.#link?.abort(error);
  }

  async close(): Promise<void> {
    this.#aborter.abort();
    this.#gateway?.close();
    await this.#link?.close().catch(() => undefined);
    await this.#listener?.close();
    this.#folder?.remove();
    this.#letKeeperGo();
  }

  #onLinkClosed(error: GodwitError | null): void {
    if (this.#gateway?.isComplete) {
      this.#options.say({ event: 'complete', pages: this.#gateway.pageTotal });
      this.#end.resolve();
    } else
      this.fail(
        error ??
          new GodwitError('LINK_CLOSED', 'the source ended the link before the migration was complete'),
      );
  }
}

function linkText(event: LinkEvent): string {
  switch (event.kind) {
    case 'connected':
      return `connection ${event.lane} is ${event.epoch === 1 ? 'open' : 'back'}: ${event.transport}`;
    case 'disconnected':
      return `connection ${event.lane} broke: ${event.reason}`;
    case 'refused':
      return `refused [${event.code}]: ${event.reason}`;
  }
}
