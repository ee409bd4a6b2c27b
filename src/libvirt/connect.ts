/** Opens a connection to a libvirt daemon: its socket, who we are, keepalive, the driver. */

import { once } from 'node:events';
import { connect as connectSocket } from 'node:net';
import type { Duplex } from 'node:stream';
import { errorCode } from '../base/index.ts';
import { type CallOptions, LibvirtClient } from './client.ts';
import { authError, connectError } from './errors.ts';
import { KEEPALIVE, type KeepaliveRule } from './keepalive.ts';
import {
  AUTH,
  AUTH_NAMES,
  authList,
  authPolkit,
  connectOpen,
  connectSupportsFeature,
  FEATURE,
} from './procedures-connection.ts';
import { parseLibvirtUri } from './uri.ts';

const CONNECT_TIMEOUT_MS = 10_000;

export interface ConnectOptions {
  readonly uri: string;
  /** For all of it together. */
  readonly timeoutMs?: number;
  readonly signal?: AbortSignal;
  readonly keepalive?: KeepaliveRule;
  /** XDG_RUNTIME_DIR, for qemu:///session. */
  readonly runtimeFolder?: string | null;
}

/** Errors: LIBVIRT_URI, LIBVIRT_CONNECT, LIBVIRT_AUTH, and those of LibvirtClient.call. */
export async function connectLibvirt(options: ConnectOptions): Promise<LibvirtClient> {
  const { driver, socketPaths } = parseLibvirtUri(options.uri, options.runtimeFolder ?? null);
  const timeout = AbortSignal.timeout(options.timeoutMs ?? CONNECT_TIMEOUT_MS);
  const signal = options.signal ? AbortSignal.any([options.signal, timeout]) : timeout;
  const { stream, path } = await openFirst(socketPaths, signal);
  return openDriver(stream, path, driver, { signal, keepalive: options.keepalive ?? KEEPALIVE });
}

interface OpenDriverOptions {
  readonly signal: AbortSignal;
  readonly keepalive: KeepaliveRule;
}

/** Over a stream that leads to a daemon, however it does. */
async function openDriver(
  stream: Duplex,
  peer: string,
  driver: string,
  { signal, keepalive }: OpenDriverOptions,
): Promise<LibvirtClient> {
  const client = new LibvirtClient(stream, peer);
  // The signal ends each call; the default would end them sooner.
  const call: CallOptions = { signal, timeoutMs: null };
  try {
    await authenticate(client, call);
    // Asking for it is what makes the daemon send keepalives itself.
    const feature = { feature: FEATURE.KEEPALIVE };
    const { supported } = await client.call(connectSupportsFeature, feature, call);
    await client.call(connectOpen, { name: driver, flags: 0 }, call);
    if (supported !== 0) client.startKeepalive(keepalive);
    return client;
  } catch (error) {
    await client.close();
    throw error;
  }
}

async function authenticate(client: LibvirtClient, call: CallOptions): Promise<void> {
  const { types } = await client.call(authList, {}, call);
  if (types.length === 0 || types.includes(AUTH.NONE)) return;
  // The daemon asks polkit about our process; its refusal is an ordinary one.
  if (types.includes(AUTH.POLKIT)) await client.call(authPolkit, {}, call);
  else
    throw authError(
      client.peer,
      types.map((type) => AUTH_NAMES[type] ?? `authentication ${type}`),
    );
}

async function openFirst(
  paths: readonly string[],
  signal: AbortSignal,
): Promise<{ stream: Duplex; path: string }> {
  let last: unknown = null;
  for (const path of paths) {
    const socket = connectSocket(path);
    try {
      await once(socket, 'connect', { signal });
      return { stream: socket, path };
    } catch (error) {
      socket.destroy();
      last ??= error;
      if (errorCode(error) !== 'ENOENT') throw connectError(path, error);
    }
  }
  throw connectError(paths.join(' or '), last);
}
