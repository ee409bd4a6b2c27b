/**
 * A libvirt daemon, here or behind ssh: connected to when it is asked something, and again after its
 * connection has ended. Not responsible for what is asked.
 */

import { systemClock, timeoutSignal } from '../base/index.ts';
import type { Procedure } from '../libvirt/index.ts';
import { type CallOptions, connectLibvirt, type LibvirtClient, parseLibvirtUri } from '../libvirt/index.ts';
import { type Forward, forwardSocket, type ReachSpec } from '../remote/index.ts';

export interface DaemonPlace {
  /** As its own host would write it. */
  readonly uri: string;
  /** null: this host. */
  readonly reach: ReachSpec | null;
}

const CONNECT_TIMEOUT_MS = 20_000;
const SESSION = { runtimeFolder: process.env['XDG_RUNTIME_DIR'] ?? null };

export class Daemon {
  readonly #place: DaemonPlace;
  #client: LibvirtClient | null = null;
  #forward: Forward | null = null;

  constructor(place: DaemonPlace) {
    this.#place = place;
  }

  /** Errors: those of connecting. */
  async client(signal: AbortSignal = AbortSignal.timeout(CONNECT_TIMEOUT_MS)): Promise<LibvirtClient> {
    if (this.#client?.isOpen !== true) this.#client = await this.#connect(signal);
    return this.#client;
  }

  /** As LibvirtClient.call, over whichever connection there is. */
  async call<Args, Result>(
    procedure: Procedure<Args, Result>,
    args: Args,
    options: CallOptions = {},
  ): Promise<Result> {
    const { timeoutMs = null } = options;
    const beginMs = systemClock.nowMs();
    const client = await this.client(timeoutMs === null ? undefined : timeoutSignal(timeoutMs));
    if (timeoutMs === null) return client.call(procedure, args, options);
    const leftMs = Math.max(1, timeoutMs - (systemClock.nowMs() - beginMs));
    return client.call(procedure, args, { ...options, timeoutMs: leftMs });
  }

  async close(): Promise<void> {
    await this.#client?.close();
    this.#closeForward();
  }

  async #connect(signal: AbortSignal): Promise<LibvirtClient> {
    const { uri, reach } = this.#place;
    if (reach === null) return connectLibvirt({ uri, signal, ...SESSION });
    if (this.#forward?.alive === false) this.#closeForward();
    const { driver, socketPaths } = parseLibvirtUri(uri);
    let last: unknown = null;
    for (const path of socketPaths) {
      try {
        this.#forward ??= await forwardSocket(reach, path, signal);
        return await connectLibvirt({ uri: `${driver}?socket=${this.#forward.path}`, signal });
      } catch (error) {
        this.#closeForward();
        last = error;
      }
    }
    throw last;
  }

  #closeForward(): void {
    this.#forward?.close();
    this.#forward = null;
  }
}
