/**
 * A shell program that runs on this host or another one for as long as somebody here holds its input. Not
 * responsible for what it does.
 */

import type { ChildProcess } from 'node:child_process';
import { GodwitError, sleep } from '../base/index.ts';
import { collect, farCommand, type ReachSpec, startFar } from './reach.ts';

const TEXT_BYTES_MAX = 64 * 1024;
/** It may have a process to end first, which is killed after 5 s. */
const END_TIMEOUT_MS = 15_000;

/** The running script: what it has said so far. */
export class Script {
  readonly #child: ChildProcess;
  readonly #errors: () => string;
  readonly #ended: Promise<void>;
  #text = '';
  #hasEnded = false;
  #onText: () => void = () => undefined;

  static run(reach: ReachSpec, script: string, parameters: readonly string[]): Script {
    return new Script(startFar(farCommand(reach, ['sh', '-c', script, 'sh', ...parameters]), 'pipe'));
  }

  private constructor(child: ChildProcess) {
    this.#child = child;
    this.#errors = collect(child);
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      if (this.#text.length < TEXT_BYTES_MAX) this.#text += chunk;
      this.#onText();
    });
    this.#ended = new Promise((resolve) => {
      child.on('error', () => resolve()).on('close', () => resolve());
    });
    void this.#ended.then(() => {
      this.#hasEnded = true;
      this.#onText();
    });
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** All it has said, once that matches or it has ended. Errors: REACH_FAILED, `signal`'s reason. */
  async until(wanted: RegExp, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const late = AbortSignal.timeout(timeoutMs);
    const woken = AbortSignal.any([signal, late]);
    while (!wanted.test(this.#text) && !this.#hasEnded) {
      if (woken.aborted) {
        signal.throwIfAborted();
        throw reachError(`it has not answered within ${timeoutMs / 1000} s`);
      }
      await new Promise<void>((resolve) => {
        this.#onText = resolve;
        woken.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    if (!wanted.test(this.#text))
      throw reachError(this.#errors().trim() || 'the shell there ended without a word');
    return this.#text;
  }

  get text(): string {
    return this.#text;
  }

  /** The end of its input. */
  letGo(): void {
    this.#child.stdin?.end();
  }

  /** All it has said, once it has ended; it is killed where it does not. */
  async ended(): Promise<string> {
    const late = new AbortController();
    await Promise.race([this.#ended, sleep(END_TIMEOUT_MS, late.signal).catch(() => undefined)]);
    late.abort();
    if (!this.#hasEnded) this.#child.kill();
    return this.#text;
  }
}

function reachError(text: string): GodwitError {
  return new GodwitError('REACH_FAILED', `nothing could be started there: ${text}`, {
    safe: 'the source VM is as it was',
    hint: 'try the ssh command by hand',
  });
}
