/**
 * The unix sockets of one migration on this host: where each QEMU meets this process. Made late,
 * removed at its end.
 */

import {
  findSocketPlace,
  hostProcess,
  type NoSocketPlace,
  type QmpExecutor,
  SocketFolder,
  type SocketPlace,
} from '../qmp/index.ts';
import type { MigrateOptions } from './options.ts';

const STREAM = 'stream.sock';
const INCOMING = 'incoming.sock';

export interface SocketPlaces {
  readonly source: SocketPlace | NoSocketPlace;
  /** null: the destination QEMU is reached over the network, or by the gateway at its side. */
  readonly destination: SocketPlace | NoSocketPlace | null;
}

export type SocketsAsked = Pick<
  MigrateOptions,
  'sourceQmpPath' | 'destinationQmpPath' | 'destinationAddress' | 'far'
>;

/** Only looks. */
export async function findSocketPlaces(
  where: SocketsAsked,
  source: QmpExecutor,
  destination: QmpExecutor,
): Promise<SocketPlaces> {
  const isLocal = where.far == null && where.destinationAddress === null;
  return {
    source: await findSourcePlace(where.sourceQmpPath, source),
    destination: isLocal
      ? await findSocketPlace({
          role: 'listens',
          qemu: await hostProcess(destination),
          qmpPath: where.destinationQmpPath,
        })
      : null,
  };
}

async function findSourcePlace(qmpPath: string, source: QmpExecutor): Promise<SocketPlace | NoSocketPlace> {
  return findSocketPlace({ role: 'connects', qemu: await hostProcess(source), qmpPath });
}

/** Where the source QEMU connects to hand over its stream. */
export class StreamSocket {
  readonly #folder: SocketFolder;

  /** Errors: SOCKET_FOLDER. */
  constructor(place: SocketPlace | NoSocketPlace) {
    this.#folder = SocketFolder.make(place);
  }

  static async of(qmpPath: string, source: QmpExecutor): Promise<StreamSocket> {
    return new StreamSocket(await findSourcePlace(qmpPath, source));
  }

  get listenPath(): string {
    return this.#folder.here(STREAM);
  }

  /** As QEMU's `migrate` wants it. */
  get uri(): string {
    return `unix:${this.#folder.there(STREAM)}`;
  }

  readonly admitQemu = (): void => this.#folder.giveToQemu(STREAM);

  remove(): void {
    this.#folder.remove();
  }
}

/** Where a destination QEMU of this host listens. */
export class IncomingSocket {
  readonly #folder: SocketFolder;

  /** Errors: SOCKET_FOLDER. */
  constructor(place: SocketPlace | NoSocketPlace) {
    this.#folder = SocketFolder.make(place);
  }

  /** As QEMU's `migrate-incoming` wants it. */
  get uri(): string {
    return `unix:${this.#folder.there(INCOMING)}`;
  }

  /** What this process connects to. */
  get address(): string {
    return `unix:${this.#folder.here(INCOMING)}`;
  }

  remove(): void {
    this.#folder.remove();
  }
}

export interface Sockets {
  readonly stream: StreamSocket;
  readonly incoming: IncomingSocket | null;
}

/** Errors: SOCKET_FOLDER. */
export function makeSockets({ source, destination }: SocketPlaces): Sockets {
  const stream = new StreamSocket(source);
  try {
    return { stream, incoming: destination === null ? null : new IncomingSocket(destination) };
  } catch (error) {
    stream.remove();
    throw error;
  }
}

export function removeSockets({ stream, incoming }: Sockets): void {
  stream.remove();
  incoming?.remove();
}
