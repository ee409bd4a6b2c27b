/**
 * A way to a libvirt daemon that can be cut, or that loses the answer of one call: the call is carried out,
 * and the connection ends before its client hears of it.
 */

import { connect, createServer, type Server, type Socket } from 'node:net';
import { encodeFrame, FrameReader } from '../../src/libvirt/frame.ts';
import type { Ending } from '../live/libvirt-scene.ts';

export class DaemonProxy {
  readonly path: string;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #lostProcedure: number | null = null;

  private constructor(path: string, daemonPath: string) {
    this.path = path;
    this.#server = createServer((near) => this.#join(near, connect(daemonPath)));
  }

  static async open(t: Ending, path: string, daemonPath: string): Promise<DaemonProxy> {
    const proxy = new DaemonProxy(path, daemonPath);
    await new Promise<void>((resolve) => proxy.#server.listen(path, resolve));
    t.after(() => {
      proxy.cut();
      proxy.#server.close();
    });
    return proxy;
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Its next answer never arrives. */
  loseAnswerOf(procedure: number): void {
    this.#lostProcedure = procedure;
  }

  #join(near: Socket, far: Socket): void {
    const frames = new FrameReader();
    for (const socket of [near, far]) {
      this.#sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => {
        this.#sockets.delete(socket);
        near.destroy();
        far.destroy();
      });
    }
    near.pipe(far);
    far.on('data', (chunk: Buffer) => {
      for (const frame of frames.push(chunk)) {
        if (frame.type === 'reply' && frame.procedure === this.#lostProcedure) {
          this.#lostProcedure = null;
          near.destroy();
          return;
        }
        near.write(encodeFrame(frame));
      }
    });
  }
}
