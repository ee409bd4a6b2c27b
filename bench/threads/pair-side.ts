/**
 * One of the two processes between source and destination: a gateway, or a plain byte relay in its place,
 * with the same connections and the same TLS. Started by bench/pair.ts.
 */

import net from 'node:net';
import { availableParallelism } from 'node:os';
import tls from 'node:tls';
import { defined, MIB, systemClock } from '../../src/base/index.ts';
import {
  DestinationGateway,
  InThreadEncoding,
  PairedOutput,
  SourceGateway,
  WorkerEncoding,
} from '../../src/gateway/index.ts';
import {
  type Capabilities,
  Link,
  type LinkRole,
  tcpDial,
  tcpListen,
  tlsDial,
  tlsListen,
} from '../../src/link/index.ts';
import { PAGE_SIZE_BYTES } from '../../src/vm/index.ts';

export interface SideOptions {
  readonly what: 'gateway' | 'relay';
  readonly role: LinkRole;
  /** The source listens here, the destination connects here. */
  readonly socketPath: string;
  readonly connections: number;
  /** 64 hexadecimal digits; null: no TLS. */
  readonly key: string | null;
  readonly migrationId: string;
  /** Where the destination listens; null at the destination. */
  readonly port: number | null;
  /** Threads that encode; 0: none beside the first. Null: as `godwit migrate`. */
  readonly workers: number | null;
}

const GATEWAY_MEMORY_BYTES = 256 * MIB;

const tell = (message: unknown) => void process.send!(message);

function capabilities(role: LinkRole): Capabilities {
  return {
    role,
    codecMask: 1,
    pageSizeBytes: PAGE_SIZE_BYTES,
  };
}

function failed(error: unknown): never {
  console.error(error);
  process.exit(1);
}

async function destinationGateway(options: SideOptions): Promise<void> {
  const gateway = new DestinationGateway(
    {
      clock: systemClock,
      prepareTimeoutMs: 60_000,
      address: `unix:${options.socketPath}`,
    },
    failed,
  );
  const link = new Link({
    migrationId: Buffer.from(options.migrationId, 'hex'),
    laneCount: options.connections,
    capabilities: capabilities('destination'),
    onMessage: (message, lane) => gateway.onMessage(message, lane),
  });
  gateway.attach(link);
  link.closed.then((error) => error && failed(error));
  const here = { host: '127.0.0.1', port: 0 };
  const listener =
    options.key === null
      ? await tcpListen(here, (transport) => link.accept(transport))
      : await tlsListen(here, { kind: 'psk', key: Buffer.from(options.key, 'hex') }, (transport) =>
          link.accept(transport),
        );
  await gateway.connect(new AbortController().signal);
  tell({ port: (listener.address as { port: number }).port });
}

async function sourceGateway(options: SideOptions): Promise<void> {
  let output: PairedOutput | null = null;
  const link = new Link({
    migrationId: Buffer.from(options.migrationId, 'hex'),
    laneCount: options.connections,
    capabilities: capabilities('source'),
    onMessage: (message) => output?.onMessage(message),
    onRoom: () => gateway.pump(),
  });
  link.closed.then((error) => error && failed(error));
  const far = { host: '127.0.0.1', port: defined(options.port, 'the destination listens') };
  link.dial(
    options.key === null ? tcpDial(far) : tlsDial(far, { kind: 'psk', key: Buffer.from(options.key, 'hex') }),
  );
  await link.connected();
  const workers = options.workers ?? Math.max(1, availableParallelism() - 1);
  output = new PairedOutput(
    {
      link,
      encoding: workers > 0 ? new WorkerEncoding(workers) : new InThreadEncoding(),
      clock: systemClock,
      prepareTimeoutMs: 60_000,
      keepsReferences: true,
    },
    {
      onRoom: () => gateway.pump(),
      onReturnPath: (message, raw) => gateway.onReturnPath(message, raw),
      onError: failed,
    },
  );
  const gateway = new SourceGateway(
    output,
    {
      listenPath: options.socketPath,
      admitQemu: () => undefined,
      capabilities: new Set(),
      clock: systemClock,
      memoryBytesMax: GATEWAY_MEMORY_BYTES,
      absorb: true,
      record: null,
      deltas: true,
      ackGate: true,
      bandwidthBytesPerSecondMax: null,
    },
    { onLayout: () => undefined, onError: failed },
  );
  await gateway.listen();
  tell({ port: null });
}

/** What is read goes to the first of `targets` that has room; reading stops while none has. */
function spread(from: net.Socket, targets: readonly net.Socket[]): void {
  const full = new Set<net.Socket>();
  let next = 0;
  for (const target of targets) {
    target.on('error', () => undefined);
    target.on('drain', () => {
      full.delete(target);
      from.resume();
    });
  }
  from.on('error', () => undefined);
  from.on('data', (chunk: Buffer) => {
    const target = targets[next]!;
    if (!target.write(chunk)) full.add(target);
    if (full.size === targets.length) from.pause();
    else while (full.has(targets[next]!)) next = (next + 1) % targets.length;
  });
}

const PSK_CIPHERS = 'TLS_AES_128_GCM_SHA256:PSK';
const TLS13 = { minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3', ciphers: PSK_CIPHERS } as const;

async function destinationRelay({ socketPath, key }: SideOptions): Promise<void> {
  const sink = net.connect(socketPath);
  const onConnection = (socket: net.Socket) => {
    socket.on('data', (chunk: Buffer) => {
      if (sink.write(chunk)) return;
      socket.pause();
      sink.once('drain', () => socket.resume());
    });
    socket.on('error', () => undefined);
  };
  sink.setMaxListeners(100);
  const server =
    key === null
      ? net.createServer({ noDelay: true }, onConnection)
      : tls.createServer(
          { ...TLS13, noDelay: true, pskCallback: () => Buffer.from(key, 'hex') },
          onConnection,
        );
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  tell({ port: (server.address() as net.AddressInfo).port });
}

async function sourceRelay({ socketPath, key, port, connections }: SideOptions): Promise<void> {
  const far = { host: '127.0.0.1', port: defined(port, 'the destination listens') };
  const targets = await Promise.all(
    Array.from({ length: connections }, async () => {
      const socket =
        key === null
          ? net.connect({ ...far, noDelay: true })
          : tls.connect({
              ...TLS13,
              ...far,
              pskCallback: () => ({ psk: Buffer.from(key, 'hex'), identity: 'bench' }),
              checkServerIdentity: () => undefined,
            });
      await new Promise<void>((resolve) =>
        socket.once(key === null ? 'connect' : 'secureConnect', () => resolve()),
      );
      return socket;
    }),
  );
  const server = net.createServer((from) => spread(from, targets));
  await new Promise<void>((resolve) => server.listen(socketPath, resolve));
  tell({ port: null });
}

const SIDES = {
  gateway: { source: sourceGateway, destination: destinationGateway },
  relay: { source: sourceRelay, destination: destinationRelay },
};

process.on('message', (message: SideOptions | 'cpu') => {
  if (message === 'cpu') tell(process.cpuUsage());
  else SIDES[message.what][message.role](message).catch(failed);
});
process.on('disconnect', () => process.exit(0));
