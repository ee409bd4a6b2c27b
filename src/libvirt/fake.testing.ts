/**
 * A libvirt daemon for tests: answers calls by their codecs, sends events, hangs, closes in the middle of a
 * frame, sends garbage. Not responsible for behaving like libvirt beyond what a test scripts.
 */

import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  encodeFrame,
  type Frame,
  FrameReader,
  KEEPALIVE_PROGRAM,
  PROGRAM_VERSION,
  REMOTE_PROGRAM,
} from './frame.ts';
import type { EventProcedure, Procedure } from './procedure.ts';
import { authList, connectOpen, connectSupportsFeature } from './procedures-connection.ts';
import { remoteError } from './remote-error.ts';
import { XdrReader, XdrWriter } from './xdr.ts';

/** Thrown by a handler: the daemon refuses the call in these words. */
export class FakeFault extends Error {
  readonly faultCode: number;

  constructor(faultCode: number, message: string) {
    super(message);
    this.faultCode = faultCode;
  }
}

/** Returned by a handler instead of a result. */
export const SILENCE: unique symbol = Symbol('no answer');
export const HANG_UP: unique symbol = Symbol('the connection ends instead of an answer');

type Answer<Result> = Result | typeof SILENCE | typeof HANG_UP;
type Handler = (payload: Uint8Array) => Promise<Uint8Array | typeof SILENCE | typeof HANG_UP>;

export class FakeDaemon {
  readonly path: string;
  /** Names of the calls received, in order. */
  readonly calls: string[] = [];
  /** Keepalive questions received. */
  pings = 0;
  pongs = 0;
  answersPings = true;

  readonly #server: Server;
  readonly #handlers = new Map<number, { readonly name: string; readonly run: Handler }>();
  readonly #sockets = new Set<Socket>();

  /** Use FakeDaemon.listen. */
  constructor(path: string) {
    this.path = path;
    this.#server = createServer((socket) => this.#serve(socket));
    this.on(authList, () => ({ types: [0] }));
    this.on(connectSupportsFeature, () => ({ supported: 1 }));
    this.on(connectOpen, () => ({}));
  }

  static async listen(path: string): Promise<FakeDaemon> {
    const fake = new FakeDaemon(path);
    await new Promise<void>((resolve, reject) => {
      fake.#server.once('error', reject);
      fake.#server.listen(path, resolve);
    });
    return fake;
  }

  /** What leads to it. */
  get uri(): string {
    return `qemu+unix:///system?socket=${this.path}`;
  }

  on<Args, Result>(
    procedure: Procedure<Args, Result>,
    handler: (args: Args) => Answer<Result> | Promise<Answer<Result>>,
  ): void {
    const run: Handler = async (payload) => {
      const reader = new XdrReader(payload);
      const args = procedure.args.read(reader);
      reader.end();
      const answer = await handler(args);
      if (answer === SILENCE) return SILENCE;
      if (answer === HANG_UP) return HANG_UP;
      const writer = new XdrWriter();
      procedure.result.write(writer, answer as Result);
      return writer.bytes;
    };
    this.#handlers.set(procedure.number, { name: procedure.name, run });
  }

  /** To every client. */
  emit<Message extends { readonly callbackId: number }>(
    event: EventProcedure<Message>,
    message: Message,
  ): void {
    const writer = new XdrWriter();
    event.message.write(writer, message);
    this.sendFrame({ procedure: event.number, type: 'message', payload: writer.bytes });
  }

  sendFrame(frame: Partial<Frame> & Pick<Frame, 'procedure' | 'type' | 'payload'>): void {
    const whole = { program: REMOTE_PROGRAM, version: PROGRAM_VERSION, serial: 0, status: 'ok', ...frame };
    this.sendBytes(encodeFrame(whole as Frame));
  }

  ping(): void {
    const empty = new Uint8Array();
    this.sendFrame({ program: KEEPALIVE_PROGRAM, procedure: 1, type: 'message', payload: empty });
  }

  sendBytes(bytes: Uint8Array): void {
    for (const socket of this.#sockets) socket.write(bytes);
  }

  dropClients(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Who is connected stays so; nobody else gets in. */
  stopListening(): void {
    this.#server.close();
  }

  async close(): Promise<void> {
    this.dropClients();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #serve(socket: Socket): void {
    this.#sockets.add(socket);
    const frames = new FrameReader();
    socket.on('error', () => undefined);
    socket.on('close', () => this.#sockets.delete(socket));
    socket.on('data', (chunk) => {
      for (const frame of frames.push(chunk)) void this.#answer(socket, frame);
    });
  }

  async #answer(socket: Socket, frame: Frame): Promise<void> {
    if (frame.program === KEEPALIVE_PROGRAM) {
      if (frame.procedure === 2) this.pongs++;
      else {
        this.pings++;
        if (this.answersPings) socket.write(encodeFrame({ ...frame, procedure: 2 }));
      }
      return;
    }
    const handler = this.#handlers.get(frame.procedure);
    this.calls.push(handler?.name ?? `procedure ${frame.procedure}`);
    const reply = (status: Frame['status'], payload: Uint8Array) =>
      socket.write(encodeFrame({ ...frame, type: 'reply', status, payload }));
    try {
      if (handler === undefined) throw new FakeFault(39, `unknown procedure: ${frame.procedure}`);
      const answer = await handler.run(frame.payload);
      if (answer === HANG_UP) socket.destroy();
      else if (answer !== SILENCE) reply('ok', answer);
    } catch (error) {
      reply('error', faultBytes(error instanceof FakeFault ? error.faultCode : 1, String(error)));
    }
  }
}

function faultBytes(code: number, message: string): Uint8Array {
  const writer = new XdrWriter();
  const unused = { dom: null, str1: message, str2: null, str3: null, int1: 0, int2: 0, net: null };
  remoteError.write(writer, { code, domain: 10, message, level: 2, ...unused });
  return writer.bytes;
}
