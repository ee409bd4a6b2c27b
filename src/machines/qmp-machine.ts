/**
 * One QEMU through its QMP socket; connects when asked and again after a failure. Not responsible for
 * which command is right.
 */

import { errorCode, errorMessage, GodwitError, sleep, systemClock, timeoutSignal } from '../base/index.ts';
import type { EndedHow } from '../handover/index.ts';
import {
  connectQmp,
  type ExecuteOptions,
  isAlive,
  type JsonObject,
  type PreviousSettings,
  type QmpClient,
  type QmpExecutor,
  qemuIdentity,
  readClaim,
  releaseClaim,
  restoreSettings,
} from '../qmp/index.ts';
import { type Forward, forwardSocket, isFarProcessAlive } from '../remote/index.ts';
import type { QmpEndpoint } from './endpoint.ts';
import type { Machine, MachineStatus } from './types.ts';

const POLL_MS = 10;
const FORWARD_TIMEOUT_MS = 10_000;
/** For an ssh session that only asks for a process; it is opened when the ordinary way has failed. */
const PROOF_TIMEOUT_MS = 5_000;
/** No ssh answers sooner. */
const PROOF_MS_MIN = 200;
/** The far side's word may come after the connection's end. */
const REFUSAL_DELAY_MS = 100;
const CANCEL_TIMEOUT_MS = 10_000;
const MIGRATION_ENDED: ReadonlySet<string> = new Set(['none', 'completed', 'failed', 'cancelled']);

export class QmpMachine implements Machine, QmpExecutor {
  readonly #endpoint: QmpEndpoint;
  #client: QmpClient | null;
  #forward: Forward | null = null;
  /** It said over this connection that it will quit. */
  #quitter: QmpClient | null = null;
  /** It said so, and then that connection ended: it will never answer again. */
  #hasQuit = false;
  #refusalsSeen = 0;

  constructor(endpoint: QmpEndpoint, existing: QmpClient | null = null) {
    this.#endpoint = endpoint;
    this.#client = existing;
  }

  async status(withinMs: number): Promise<MachineStatus> {
    const deadlineMs = systemClock.nowMs() + withinMs;
    for (;;) {
      try {
        const leftMs = Math.max(POLL_MS, deadlineMs - systemClock.nowMs());
        const reply = (await this.execute('query-status', {}, { timeoutMs: leftMs })) as { status: string };
        return { state: 'answers', runState: reply.status };
      } catch (error) {
        if (await this.#isGone(error, deadlineMs)) return { state: 'gone', why: 'its process has ended' };
        // Refused although its process lives: it is on its way out, or its socket is busy for a moment.
        if (systemClock.nowMs() >= deadlineMs) return { state: 'silent', why: errorMessage(error) };
        await sleep(POLL_MS);
      }
    }
  }

  async start(): Promise<void> {
    await this.execute('cont');
  }

  async stop(): Promise<void> {
    await this.execute('stop');
  }

  async end(withinMs: number): Promise<EndedHow> {
    const deadlineMs = systemClock.nowMs() + withinMs;
    let answered = false;
    for (;;) {
      try {
        await this.execute('quit', {}, { timeoutMs: Math.max(POLL_MS, deadlineMs - systemClock.nowMs()) });
        answered = true;
        this.#quitter = this.#client;
      } catch (error) {
        if (await this.#isGone(error, deadlineMs)) return 'gone';
      }
      if (systemClock.nowMs() >= deadlineMs) return answered ? 'stays' : 'silent';
      await sleep(POLL_MS);
    }
  }

  async migrationStatus(): Promise<string> {
    const { status } = (await this.execute('query-migrate')) as { status?: string };
    return status ?? 'none';
  }

  /** QEMU refuses `cont` and new settings while a migration is still ending. */
  async cancelMigration(): Promise<void> {
    const deadlineMs = systemClock.nowMs() + CANCEL_TIMEOUT_MS;
    for (;;) {
      const status = await this.migrationStatus();
      if (MIGRATION_ENDED.has(status)) return;
      if (systemClock.nowMs() >= deadlineMs) throw new Error(`its migration stays "${status}"`);
      if (status !== 'cancelling') await this.execute('migrate_cancel').catch(() => undefined);
      await sleep(POLL_MS);
    }
  }

  async restoreSettings(previous: PreviousSettings): Promise<void> {
    await restoreSettings(this, previous);
  }

  async releaseClaim(): Promise<void> {
    const { claim } = this.#endpoint;
    if (claim !== null) await releaseClaim(this, claim);
  }

  /**
   * One command over whichever connection there is; a connection that ends leaves the way free for the next.
   */
  async execute(command: string, args?: JsonObject, options?: ExecuteOptions): Promise<unknown> {
    const qemu = await this.#open(options?.timeoutMs ?? null);
    try {
      return await qemu.execute(command, args, options);
    } catch (error) {
      const code = errorCode(error);
      if (code === 'QMP_CLOSED' && qemu === this.#quitter && !this.#isFar) this.#hasQuit = true;
      if (code !== 'QMP_COMMAND') await this.#drop();
      throw error;
    }
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
    const { reach } = this.#endpoint;
    return reach?.host != null || reach?.listener != null;
  }

  async #open(timeoutMs: number | null): Promise<QmpClient> {
    if (this.#client) return this.#client;
    const { qmpPath, reach } = this.#endpoint;
    const waitMs = Math.min(FORWARD_TIMEOUT_MS, timeoutMs ?? FORWARD_TIMEOUT_MS);
    if (this.#forward?.alive === false) this.#closeForward();
    this.#forward ??= reach === null ? null : await forwardSocket(reach, qmpPath, timeoutSignal(waitMs));
    this.#refusalsSeen = this.#forward?.refusals ?? 0;
    const opened = await connectQmp({ path: this.#forward?.path ?? qmpPath, timeoutMs: waitMs });
    try {
      if (!(await this.#recognises(opened, waitMs))) {
        throw new GodwitError('QEMU_REPLACED', `another QEMU listens on ${qmpPath} now`, {
          safe: 'nothing was asked of it',
        });
      }
    } catch (error) {
      // QEMU serves one client: an unused one would keep all later ones out.
      await opened.close();
      throw error;
    }
    this.#client = opened;
    return opened;
  }

  /** By its process where that can be seen, else by the claim that the migration put into it. */
  async #recognises(opened: QmpClient, timeoutMs: number): Promise<boolean> {
    const { identity, claim } = this.#endpoint;
    const hasty: QmpExecutor = {
      execute: (command, args) => opened.execute(command, args, { timeoutMs }),
    };
    const found = identity === null || this.#isFar ? null : await qemuIdentity(hasty);
    if (found !== null) return found === identity;
    if (claim === null) return true;
    return (await readClaim(hasty))?.migrationId === claim;
  }

  async #drop(): Promise<void> {
    const dropped = this.#client;
    this.#client = null;
    await dropped?.close();
  }

  /**
   * Only proof is proof. The end's own system is asked for its process, because a QEMU that is ending
   * closes its socket before its disks. That nobody takes a connection is silence, whoever says so; of a
   * process that nobody here can see, only an answered `quit` says more.
   */
  async #isGone(error: unknown, deadlineMs: number): Promise<boolean> {
    const { identity, reach } = this.#endpoint;
    if (!this.#isFar && identity !== null) return !(await isAlive(identity));
    if (this.#hasQuit) return true;
    if (reach?.listener != null) return this.#isRefusedThere();
    if (this.#quitter !== null && errorCode(error) === 'QMP_CLOSED' && (await this.#isWayOpen())) {
      this.#hasQuit = true;
      return true;
    }
    if (identity === null || reach === null || reach.host === null) return false;
    const leftMs = Math.min(PROOF_TIMEOUT_MS, deadlineMs - systemClock.nowMs());
    if (leftMs < PROOF_MS_MIN) return false;
    return (await isFarProcessAlive(reach, identity, timeoutSignal(leftMs))) === false;
  }

  /** Only where the way stays open did the end itself close the connection. */
  async #isWayOpen(): Promise<boolean> {
    if (this.#forward?.alive !== true) return false;
    // What joins two hosts ends its connections before it says that it has ended.
    await sleep(REFUSAL_DELAY_MS);
    return this.#forward.alive;
  }

  /**
   * The far `godwit receive` tried the socket itself and found nobody. That is the word of its host; what ssh
   * says of a forward is not.
   */
  async #isRefusedThere(): Promise<boolean> {
    if (this.#client !== null || this.#forward === null) return false;
    await sleep(REFUSAL_DELAY_MS);
    return this.#forward.alive && this.#forward.refusals > this.#refusalsSeen;
  }
}
