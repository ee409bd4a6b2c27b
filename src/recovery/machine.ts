/** One QEMU as recovery sees it, through its QMP socket; connects when asked and again after a failure. */

import { errorCode, errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import {
  connectQmp,
  type ExecuteOptions,
  isAlive,
  type JsonObject,
  type QmpClient,
  type QmpExecutor,
  qemuIdentity,
} from '../qmp/index.ts';
import type { Forward } from '../remote/index.ts';
import { forwardSocket } from '../remote/index.ts';
import type { Endpoint } from './journal.ts';
import type { Machine, MachineStatus } from './recover.ts';

const POLL_MS = 10;
/** QEMU serves one client at a time; a dead controller's connection is closed by the kernel within moments. */
const CONNECT_TIMEOUT_MS = 5_000;
const FORWARD_TIMEOUT_MS = 10_000;
const STATUS_TIMEOUT_MS = 3_000;
/** What ssh says on its standard error may come after the connection's end. */
const REFUSAL_DELAY_MS = 100;
/** The first may find a connection that has just ended, the second one that ends under it. */
const ATTEMPTS = 3;

/** Nobody listens on the socket any more, or another QEMU does. */
function isRefused(error: unknown): boolean {
  const code = errorCode((error as { cause?: unknown }).cause);
  return errorCode(error) === 'QEMU_REPLACED' || code === 'ECONNREFUSED' || code === 'ENOENT';
}

/** Asking again would only wait as long again. */
function isSlow(error: unknown): boolean {
  return ['QMP_BUSY', 'QMP_TIMEOUT', 'REACH_FAILED', 'TimeoutError'].includes(errorCode(error));
}

/** `identity` of the endpoint: the process that must be behind the socket; null: whichever is. */
export class QmpMachine implements Machine {
  readonly #endpoint: Endpoint;
  #client: QmpClient | null;
  #forward: Forward | null = null;
  #refusalsSeen = 0;

  constructor(endpoint: Endpoint, existing: QmpClient | null = null) {
    this.#endpoint = endpoint;
    this.#client = existing;
  }

  async status({ patient = false } = {}): Promise<MachineStatus> {
    const linkTimeoutMs = this.#isFar ? (this.#endpoint.reach?.linkTimeoutMs ?? 0) : 0;
    const deadlineMs = systemClock.nowMs() + (patient ? linkTimeoutMs : 0);
    for (let attempt = 1; ; attempt++) {
      try {
        const options = { timeoutMs: STATUS_TIMEOUT_MS };
        const reply = (await this.execute('query-status', {}, options)) as { status: string };
        return { state: 'answers', runState: reply.status };
      } catch (error) {
        if (await this.#isGone(error)) return { state: 'gone' };
        const isOver = systemClock.nowMs() >= deadlineMs && (attempt >= ATTEMPTS || isSlow(error));
        if (isOver) return { state: 'silent', why: errorMessage(error) };
        // Refused although its process lives: it is on its way out.
        await sleep(POLL_MS);
      }
    }
  }

  /** One command over whichever connection there is; a connection that ends leaves the way free for the next. */
  async execute(command: string, args?: JsonObject, options?: ExecuteOptions): Promise<unknown> {
    const qemu = await this.#open();
    try {
      return await qemu.execute(command, args, options);
    } catch (error) {
      if (errorCode(error) !== 'QMP_COMMAND') await this.#drop();
      throw error;
    }
  }

  async quit(timeoutMs: number): Promise<boolean> {
    const deadlineMs = systemClock.nowMs() + timeoutMs;
    for (let leftMs = timeoutMs; leftMs > 0; leftMs = deadlineMs - systemClock.nowMs()) {
      try {
        await this.execute('quit', {}, { timeoutMs: leftMs });
      } catch (error) {
        if (await this.#isGone(error)) return true;
      }
      await sleep(POLL_MS);
    }
    return false;
  }

  async close(): Promise<void> {
    await this.#drop();
    this.#closeForward();
  }

  #closeForward(): void {
    this.#forward?.close();
    this.#forward = null;
  }

  get #isFar(): boolean {
    return this.#endpoint.reach?.host != null;
  }

  async #open(): Promise<QmpExecutor> {
    if (this.#client) return this.#client;
    const { qmpPath, identity, reach } = this.#endpoint;
    const signal = AbortSignal.timeout(FORWARD_TIMEOUT_MS);
    if (this.#forward?.alive === false) this.#closeForward();
    this.#forward ??= reach === null ? null : await forwardSocket(reach, qmpPath, signal);
    this.#refusalsSeen = this.#forward?.refusals ?? 0;
    const opened = await connectQmp({ path: this.#forward?.path ?? qmpPath, timeoutMs: CONNECT_TIMEOUT_MS });
    const found = identity === null ? null : await qemuIdentity(opened);
    if (found !== null && found !== identity) {
      await opened.close();
      throw new GodwitError('QEMU_REPLACED', `another QEMU listens on ${qmpPath} now`, {
        safe: 'nothing was asked of it',
      });
    }
    this.#client = opened;
    return opened;
  }

  async #drop(): Promise<void> {
    const dropped = this.#client;
    this.#client = null;
    await dropped?.close();
  }

  /** Where its process can be seen, that decides: one on its way out has closed its socket and not yet its disks. */
  async #isGone(error: unknown): Promise<boolean> {
    const { identity } = this.#endpoint;
    if (this.#isFar) return errorCode(error) === 'QEMU_REPLACED' || (await this.#isRefusedThere());
    return identity === null ? isRefused(error) : !(await isAlive(identity));
  }

  /** ssh takes every connection here; that nobody took it there only ssh can say. A dead ssh says nothing of QEMU. */
  async #isRefusedThere(): Promise<boolean> {
    if (this.#client !== null || this.#forward === null) return false;
    await sleep(REFUSAL_DELAY_MS);
    return this.#forward.alive && this.#forward.refusals > this.#refusalsSeen;
  }
}
