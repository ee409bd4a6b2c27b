/**
 * The channel to the far gateway: lines over a child's standard input and output (ssh), or over a connection
 * to a gateway that was started by hand. Not responsible for what is asked of it: far-side.ts.
 */

import type { ChildProcess } from 'node:child_process';
import { errorMessage, GodwitError } from '../base/index.ts';
import type { LineStream } from './line-stream.ts';
import { farError, readFarLine } from './listener.ts';
import { LineCutter, parseLine, type ReceiveEvent, receiveEvent } from './messages.ts';
import { collect } from './reach.ts';

export interface FarChannel {
  send(line: object): void;
  /** Called once. `onFailed`: no more lines will come, or not from here. */
  listen(onLine: (line: string) => void, onFailed: (error: Error) => void): void;
  /** In order. */
  close(): void;
  kill(): void;
}

export function childChannel(child: ChildProcess, what: string): FarChannel {
  const said = collect(child);
  child.stdin?.on('error', () => undefined);
  return {
    send: (line) => void child.stdin!.write(`${JSON.stringify(line)}\n`),
    listen(onLine, onFailed) {
      const cutter = new LineCutter();
      child.stdout?.setEncoding('utf8').on('data', (chunk) => {
        try {
          for (const line of cutter.push(String(chunk))) onLine(line);
        } catch (error) {
          onFailed(error as Error);
        }
      });
      child.on('error', (cause) =>
        onFailed(reachError(`cannot run ${what}: ${errorMessage(cause)}`, MUST_BE_INSTALLED, cause)),
      );
      child.on('close', (code) =>
        onFailed(reachError(`${what} ended (${code}): ${said().trim().slice(-500)}`, MUST_BE_INSTALLED)),
      );
    },
    close() {
      child.stdin?.end();
      // It ends by itself when its channel ends. A far shell that hangs must not keep this process alive.
      setTimeout(() => child.kill(), 2_000).unref();
      child.unref();
    },
    kill: () => void child.kill(),
  };
}

export function streamChannel(stream: LineStream): FarChannel {
  const closing = new AbortController();
  return {
    send: (line) => stream.writeLine(line),
    listen(onLine, onFailed) {
      const read = async () => {
        for (;;) onLine(await readFarLine(stream, closing.signal));
      };
      read().catch((cause: unknown) => {
        if (cause instanceof GodwitError && cause.code !== 'CHANNEL_CLOSED') onFailed(cause);
        else onFailed(reachError(`the far gateway is gone: ${errorMessage(cause)}`, MUST_RUN, cause));
      });
    },
    close() {
      closing.abort(new GodwitError('CHANNEL_CLOSED', 'the migration has ended here'));
      stream.end();
    },
    kill: () => stream.destroy(),
  };
}

const MUST_BE_INSTALLED =
  'godwit must be installed on the far host; --remote-command says how it is started there';
const MUST_RUN = 'see what godwit receive says on the far host';

function reachError(text: string, hint: string, cause?: unknown): GodwitError {
  return new GodwitError('REACH_FAILED', text, { cause, safe: 'the source VM goes on', hint });
}

/** The far side's lines, each awaited once or a failure. */
export class FarEvents {
  readonly #waiting = new Map<string, (event: ReceiveEvent) => void>();
  readonly #early = new Map<string, ReceiveEvent>();
  readonly #failed = Promise.withResolvers<never>();
  #closed = false;

  constructor(channel: FarChannel) {
    this.#failed.promise.catch(() => undefined);
    channel.listen(
      (line) => this.#onLine(line),
      (error) => this.#fail(error),
    );
  }

  get failed(): Promise<never> {
    return this.#failed.promise;
  }

  /** Errors: REACH_FAILED, also after `timeoutMs`; RECEIVE_PROTOCOL; the far side's own. */
  async wait<Name extends ReceiveEvent['event']>(name: Name, signal: AbortSignal, timeoutMs: number) {
    const late = setTimeout(
      () => this.#fail(reachError(`the far side has not said "${name}" within ${timeoutMs} ms`, MUST_RUN)),
      timeoutMs,
    );
    const early = this.#early.get(name);
    const arrived = new Promise<ReceiveEvent>((resolve, reject) => {
      if (early) resolve(early);
      this.#waiting.set(name, resolve);
      signal.addEventListener('abort', () => reject(signal.reason), { once: true });
    });
    try {
      return (await Promise.race([arrived, this.#failed.promise])) as Extract<ReceiveEvent, { event: Name }>;
    } finally {
      clearTimeout(late);
    }
  }

  close(): void {
    this.#closed = true;
  }

  /** Errors: RECEIVE_PROTOCOL. */
  #onLine(line: string): void {
    const event = parseLine(receiveEvent, line);
    if (event.event === 'error') this.#fail(farError(event));
    this.#early.set(event.event, event);
    this.#waiting.get(event.event)?.(event);
  }

  #fail(error: Error): void {
    if (!this.#closed) this.#failed.reject(error);
  }
}
