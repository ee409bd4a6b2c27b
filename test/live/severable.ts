/**
 * Sockets that can be cut at a chosen moment: a relay stands between controller and QEMU on both QMP
 * sockets, and, by rewriting the addresses in `migrate` and `migrate-incoming`, on both streams. Product
 * code knows nothing of it.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** What can be cut. */
export const WIRES = ['source-stream', 'destination-stream', 'source-qmp', 'destination-qmp'] as const;
export type Wire = (typeof WIRES)[number];

type Rewrite = (line: string) => Promise<string>;

class Relay {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  /** Each with where its bytes go. */
  readonly #pipes = new Map<Socket, Socket>();

  private constructor(server: Server) {
    this.#server = server;
  }

  static async open(path: string, target: string, rewrite: Rewrite | null): Promise<Relay> {
    const server = createServer({ allowHalfOpen: true });
    const relay = new Relay(server);
    server.on('connection', (near) =>
      relay.#join(near, connect({ path: target, allowHalfOpen: true }), rewrite),
    );
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(path, resolve);
    });
    return relay;
  }

  #join(near: Socket, far: Socket, rewrite: Rewrite | null): void {
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      this.#sockets.add(one);
      one.on('error', (error) => this.#onError(error));
      one.on('close', () => {
        this.#sockets.delete(one);
        this.#pipes.delete(one);
        other.destroy();
      });
    }
    this.#pipe(far, near);
    if (rewrite === null) this.#pipe(near, far);
    else void rewriteLines(near, far, rewrite);
  }

  #pipe(from: Socket, to: Socket): void {
    this.#pipes.set(from, to);
    from.pipe(to);
  }

  /** A QEMU that has ended refuses connections, so this socket must too. */
  #onError(error: NodeJS.ErrnoException): void {
    if (error.syscall === 'connect') this.#server.close();
  }

  /** Both ends see a closed connection; new ones are taken. */
  cut(): boolean {
    const had = this.#sockets.size > 0;
    for (const socket of this.#sockets) socket.destroy();
    return had;
  }

  /**
   * Nothing passes any more, and nobody hears of it; of a QMP connection no answer does. null:
   * there is no connection.
   */
  stall(): (() => void) | null {
    if (this.#pipes.size === 0) return null;
    const stalled = [...this.#pipes];
    for (const [from, to] of stalled) from.unpipe(to).pause();
    return () => {
      for (const [from, to] of stalled) from.pipe(to);
    };
  }

  close(): void {
    this.cut();
    this.#server.close();
  }
}

async function rewriteLines(near: Socket, far: Socket, rewrite: Rewrite): Promise<void> {
  let text = '';
  try {
    for await (const chunk of near) {
      text += String(chunk);
      const lines = text.split('\n');
      text = lines.pop()!;
      for (const line of lines) far.write(`${await rewrite(line)}\n`);
    }
    far.end();
  } catch {
    far.destroy();
  }
}

export interface Wires {
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  /** false: that connection did not exist. */
  cut(wire: Wire): boolean;
  /** Until what it returns is called; null: that connection does not exist. */
  stall(wire: Wire): (() => void) | null;
  close(): void;
}

export async function openWires(folder: string, sourceQmp: string, destinationQmp: string): Promise<Wires> {
  const relays = new Map<Wire, Relay>();
  const sourceQmpPath = join(folder, 'sq.sock');
  const destinationQmpPath = join(folder, 'dq.sock');
  const rerouted = async (
    wire: Wire,
    line: string,
    command: string,
    between: (uri: string) => readonly [string, string, string],
  ) => {
    const message = JSON.parse(line) as { execute?: string; arguments?: { uri?: string } };
    if (message.execute !== command || !message.arguments?.uri?.startsWith('unix:')) return line;
    const [listen, target, uri] = between(message.arguments.uri.slice('unix:'.length));
    relays.set(wire, await Relay.open(listen, target, null));
    return JSON.stringify({ ...message, arguments: { ...message.arguments, uri: `unix:${uri}` } });
  };
  // The source QEMU connects to us instead of the gateway; the gateway connects to us instead
  // of the destination QEMU.
  const sourceStream = join(folder, 'ss.sock');
  const destinationStream = join(folder, 'ds.sock');
  const ofSource: Rewrite = (line) =>
    rerouted('source-stream', line, 'migrate', (path) => [sourceStream, path, sourceStream]);
  const ofDestination: Rewrite = (line) =>
    rerouted('destination-stream', line, 'migrate-incoming', (path) => [
      path,
      destinationStream,
      destinationStream,
    ]);
  relays.set('source-qmp', await Relay.open(sourceQmpPath, sourceQmp, ofSource));
  relays.set('destination-qmp', await Relay.open(destinationQmpPath, destinationQmp, ofDestination));
  return {
    sourceQmpPath,
    destinationQmpPath,
    cut: (wire) => relays.get(wire)?.cut() ?? false,
    stall: (wire) => relays.get(wire)?.stall() ?? null,
    close: () => {
      for (const relay of relays.values()) relay.close();
    },
  };
}
