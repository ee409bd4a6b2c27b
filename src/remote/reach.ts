/**
 * How to reach the far host: run a command there, have one of its sockets here. By the system's own
 * ssh, or by a prefix (a container, a namespace) that shares this host's file system. Not responsible
 * for what is run.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { GodwitError, sleep, systemClock } from '../base/index.ts';
import type { SocketFolder } from '../qmp/index.ts';
import { FORWARD, type Forward, makeForwardFolder } from './forward.ts';
import { forwardListener, type ListenerReach } from './listener.ts';

export interface ReachSpec {
  /** `ssh` with its options, as `--rsh` gives it; or any prefix that runs a command. */
  readonly command: readonly string[];
  /** ssh's destination; null: `command` is a plain prefix and unix sockets are shared. */
  readonly host: string | null;
  /** A far side that was started by hand: then `command` is empty. */
  readonly listener?: ListenerReach | null | undefined;
}

/** This host. */
export const NEAR: ReachSpec = { command: [], host: null };

/** Long enough to type a password. */
const FORWARD_TIMEOUT_MS = 60_000;
const POLL_MS = 20;
/** In /proc/net/unix: __SO_ACCEPTCON. */
const LISTENING = '00010000';

/**
 * The connection is not shared and ends with this process. --link-timeout, not ssh, judges a broken network.
 * ssh says why it could not forward. An option that --rsh gives itself comes first and wins (ssh_config(5)).
 */
const SSH_OPTIONS = ['ControlPath=none', 'ServerAliveInterval=0', 'LogLevel=INFO'].flatMap((one) => [
  '-o',
  one,
]);

/** argv that runs `command` on the far host. */
export function farCommand(reach: ReachSpec, command: readonly string[]): string[] {
  if (reach.host === null) return [...reach.command, ...command];
  return sshCommand(reach.command, reach.host, [], command);
}

function sshCommand(
  ssh: readonly string[],
  host: string,
  options: readonly string[],
  command: readonly string[],
): string[] {
  // ssh hands one string to the far login shell.
  return [...ssh, ...SSH_OPTIONS, '-T', ...options, '--', host, command.map(shellQuote).join(' ')];
}

/**
 * Starts `argv` so that Ctrl-C and a closing terminal are ours alone: ssh leaves a signal ignored
 * that was ignored when it began, and can still ask for a password on the terminal. It ends when
 * its standard input does.
 */
export function startFar(argv: readonly string[], output: 'pipe' | 'ignore'): ChildProcess {
  const shell = ['-c', 'trap "" INT QUIT HUP; exec "$@"', 'sh', ...argv];
  const child = spawn('/bin/sh', shell, { stdio: ['pipe', output, 'pipe'] });
  child.stdin?.on('error', () => undefined);
  return child;
}

export function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/**
 * A unix socket of the far host (`/path`) or a port of it (`127.0.0.1:4444`), as a unix socket here; with a
 * listener it is the QMP socket that `godwit receive` was given. Errors: REACH_FAILED.
 */
export async function forwardSocket(reach: ReachSpec, target: string, signal: AbortSignal): Promise<Forward> {
  if (reach.listener != null) return forwardListener(reach.listener);
  if (reach.host === null) return nearSocket(target);
  const folder = await makeForwardFolder();
  const local = folder.here(FORWARD);
  const options = [
    '-o',
    'ExitOnForwardFailure=yes',
    '-o',
    'StreamLocalBindUnlink=yes',
    '-L',
    `${local}:${target}`,
  ];
  // `cat` instead of -N: it ends when this process dies, and ssh ends with it.
  const child = startFar(sshCommand(reach.command, reach.host, options, ['cat']), 'ignore');
  const forward = new SshForward(child, local, folder);
  try {
    await forward.ready(signal);
  } catch (cause) {
    forward.close();
    if (!(cause instanceof NotForwarded)) throw cause;
    throw new GodwitError(
      'REACH_FAILED',
      `ssh does not reach ${target} of ${reach.host}: ${forward.said()}`,
      {
        safe: 'nothing was touched',
        hint: `try "${reach.command.join(' ')} ${reach.host} true"`,
      },
    );
  }
  return forward;
}

function nearSocket(target: string): Forward {
  return { path: target, alive: true, refusals: 0, failure: null, said: () => '', close: () => undefined };
}

class NotForwarded extends Error {}

class SshForward implements Forward {
  readonly path: string;
  readonly failure = null;
  readonly said: () => string;
  readonly #child: ChildProcess;
  readonly #folder: SocketFolder;
  #refusals = 0;
  #ended = false;

  constructor(child: ChildProcess, local: string, folder: SocketFolder) {
    this.path = local;
    this.#child = child;
    this.#folder = folder;
    const said = collect(child);
    this.said = () => said().trim();
    child.stderr?.on('data', (text) => {
      // "channel 2: open failed: connect failed: ..."
      this.#refusals += String(text).match(/open failed/g)?.length ?? 0;
    });
    const onEnd = () => {
      this.#ended = true;
    };
    child.on('error', onEnd).on('close', onEnd);
  }

  get alive(): boolean {
    return !this.#ended;
  }

  get refusals(): number {
    return this.#refusals;
  }

  /** ssh has logged in and listens here. */
  async ready(signal: AbortSignal): Promise<void> {
    const deadlineMs = systemClock.nowMs() + FORWARD_TIMEOUT_MS;
    while (!isListening(this.path)) {
      signal.throwIfAborted();
      if (this.#ended || systemClock.nowMs() > deadlineMs) throw new NotForwarded();
      await sleep(POLL_MS);
    }
  }

  close(): void {
    this.#child.stdin?.end();
    this.#child.kill();
    this.#child.unref();
    this.#folder.remove();
  }
}

/** A socket exists a moment before it takes connections. */
function isListening(socketPath: string): boolean {
  if (!existsSync(socketPath)) return false;
  const sockets = readFileSync('/proc/net/unix', 'utf8').split('\n');
  return sockets.some((line) => line.endsWith(` ${socketPath}`) && line.split(/ +/)[3] === LISTENING);
}

/** The host name or address that ssh itself would connect to. */
export async function resolvedHost(reach: ReachSpec): Promise<string> {
  if (reach.host === null) return '127.0.0.1';
  const [program, ...rest] = [...reach.command, '-G', '--', reach.host];
  const child = spawn(program!, rest, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => child.on('close', resolve).on('error', resolve));
  return /^hostname (\S+)$/m.exec(text)?.[1] ?? reach.host.replace(/^.*@/, '');
}

/** The newest kilobytes of what a child says on stderr. */
export function collect(child: ChildProcess): () => string {
  let text = '';
  child.stderr?.setEncoding('utf8').on('data', (chunk) => {
    text = (text + chunk).slice(-4096);
  });
  return () => text;
}
