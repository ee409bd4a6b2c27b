/**
 * A QMP server for tests: scripted answers, events, delays, garbage, connections that close in the middle of
 * a line. Like QEMU's it greets one client at a time; a second one waits in silence. Not responsible for
 * behaving like a VM.
 */

import { rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { sleep } from '../base/index.ts';
import { type JsonObject, LineReader } from './lines.ts';

/** What the server does about one command. */
export type FakeAnswer =
  | { readonly kind: 'return'; readonly value: unknown }
  | { readonly kind: 'error'; readonly class: string; readonly desc: string }
  | { readonly kind: 'silence' }
  /** Sent as it is: garbage, half a line, two lines. */
  | { readonly kind: 'raw'; readonly text: string }
  /** Sends `text` (default: half a reply) and closes the connection. */
  | { readonly kind: 'close'; readonly text?: string };

export type FakeHandler = (args: JsonObject, fake: FakeQmpServer) => FakeAnswer | Promise<FakeAnswer>;

export interface FakeOptions {
  /** A path that does not exist yet. */
  readonly path: string;
  readonly oob?: boolean;
  readonly version?: { readonly major: number; readonly minor: number; readonly micro: number };
  /** Instead of the greeting; empty greets nobody. */
  readonly greeting?: string;
  readonly handlers?: Readonly<Record<string, FakeHandler>>;
}

export interface FakeRequest {
  readonly name: string;
  readonly args: JsonObject;
  readonly oob: boolean;
}

export const fakeReturn = (value: unknown = {}): FakeAnswer => ({ kind: 'return', value });
export const fakeError = (desc: string, errorClass = 'GenericError'): FakeAnswer => ({
  kind: 'error',
  class: errorClass,
  desc,
});
export const fakeSilence: FakeAnswer = { kind: 'silence' };
/** Answers with `answer` after a while. */
export const fakeLater =
  (delayMs: number, answer: FakeAnswer): FakeHandler =>
  async () => {
    await sleep(delayMs);
    return answer;
  };

export class FakeQmpServer {
  readonly path: string;
  /** Every command received, in order. */
  readonly requests: FakeRequest[] = [];
  readonly handlers = new Map<string, FakeHandler>();

  readonly #options: FakeOptions;
  readonly #server: Server;
  readonly #line: Socket[] = [];
  #busy: Promise<void> = Promise.resolve();

  /** Use FakeQmpServer.listen. */
  constructor(options: FakeOptions) {
    this.#options = options;
    this.path = options.path;
    this.handlers.set('qmp_capabilities', () => fakeReturn());
    for (const [name, handler] of Object.entries(options.handlers ?? {})) this.handlers.set(name, handler);
    this.#server = createServer((socket) => this.#accept(socket));
  }

  static async listen(options: FakeOptions): Promise<FakeQmpServer> {
    const fake = new FakeQmpServer(options);
    await new Promise<void>((resolve, reject) => {
      fake.#server.once('error', reject);
      fake.#server.listen(options.path, resolve);
    });
    return fake;
  }

  /** Scripts the answer to `name` from now on. */
  answer(name: string, handler: FakeHandler | FakeAnswer): void {
    this.handlers.set(name, typeof handler === 'function' ? handler : () => handler);
  }

  emit(event: string, data: JsonObject = {}, timestampMs: number = Date.now()): void {
    const seconds = Math.floor(timestampMs / 1000);
    const microseconds = Math.round((timestampMs - seconds * 1000) * 1000);
    this.sendRaw(`${JSON.stringify({ timestamp: { seconds, microseconds }, event, data })}\r\n`);
  }

  /** To the client that is served, if any. */
  sendRaw(text: string | Uint8Array): void {
    this.#line[0]?.write(text);
  }

  /** Closes the served client's connection, as a QEMU that ends does. */
  dropClient(): void {
    this.#line[0]?.destroy();
  }

  async close(): Promise<void> {
    for (const socket of this.#line) socket.destroy();
    await new Promise<void>((resolve) => this.#server.close(() => resolve()));
    rmSync(this.path, { force: true });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #accept(socket: Socket): void {
    this.#line.push(socket);
    socket.on('error', () => {});
    socket.on('close', () => {
      const wasServed = this.#line[0] === socket;
      this.#line.splice(this.#line.indexOf(socket), 1);
      if (wasServed && this.#line[0]) this.#serve(this.#line[0]);
    });
    if (this.#line[0] === socket) this.#serve(socket);
  }

  #serve(socket: Socket): void {
    const qemu = this.#options.version ?? { major: 10, minor: 0, micro: 2 };
    const capabilities = this.#options.oob === false ? [] : ['oob'];
    const greeting = { QMP: { version: { qemu, package: '' }, capabilities } };
    socket.write(this.#options.greeting ?? `${JSON.stringify(greeting)}\r\n`);
    const lines = new LineReader();
    socket.on('data', (chunk) => {
      for (const { message } of lines.push(chunk)) this.#request(socket, message);
    });
  }

  #request(socket: Socket, message: JsonObject): void {
    const oob = 'exec-oob' in message;
    const request = {
      name: String(oob ? message['exec-oob'] : message.execute),
      args: (message.arguments ?? {}) as JsonObject,
      oob,
    };
    this.requests.push(request);
    // QEMU answers ordinary commands one after the other, out-of-band ones at once.
    if (oob) void this.#answer(socket, request, message.id);
    else this.#busy = this.#busy.then(() => this.#answer(socket, request, message.id));
  }

  async #answer(socket: Socket, request: FakeRequest, id: unknown): Promise<void> {
    const handler = this.handlers.get(request.name);
    const answer = handler
      ? await handler(request.args, this)
      : fakeError(`The command ${request.name} has not been found`, 'CommandNotFound');
    switch (answer.kind) {
      case 'return':
        socket.write(`${JSON.stringify({ return: answer.value, id })}\r\n`);
        return;
      case 'error':
        socket.write(`${JSON.stringify({ id, error: { class: answer.class, desc: answer.desc } })}\r\n`);
        return;
      case 'raw':
        socket.write(answer.text);
        return;
      case 'close':
        socket.end(answer.text ?? `{"return": {"half`);
        return;
      case 'silence':
        return;
    }
  }
}
