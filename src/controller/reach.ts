/**
 * How to reach the far host: run a command there, have one of its sockets here. By the system's own ssh, or by a prefix
 * (a container, a namespace) that shares this host's file system. Not responsible for what is run.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { GodwitError, sleep, systemClock } from '../base/index.ts';

export interface ReachSpec {
  /** `ssh` with its options, as `--rsh` gives it; or any prefix that runs a command. */
  readonly command: readonly string[];
  /** ssh's destination; null: `command` is a plain prefix and unix sockets are shared. */
  readonly host: string | null;
}

export interface Forward {
  /** A path here at which the far socket answers. */
  readonly path: string;
  close(): void;
}

const FORWARD_TIMEOUT_MS = 15_000;
const POLL_MS = 20;

/** argv that runs `command` on the far host. */
export function farCommand(reach: ReachSpec, command: readonly string[]): string[] {
  if (reach.host === null) return [...reach.command, ...command];
  // ssh hands one string to the far login shell.
  return [...reach.command, '--', reach.host, command.map(shellQuote).join(' ')];
}

function shellQuote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", `'\\''`)}'`;
}

/** A unix socket of the far host (`/path`) or a port of it (`127.0.0.1:4444`), as a unix socket here. Errors: REACH_FAILED. */
export async function forwardSocket(reach: ReachSpec, target: string, signal: AbortSignal): Promise<Forward> {
  if (reach.host === null) return { path: target, close: () => undefined };
  const folder = mkdtempSync(path.join(os.tmpdir(), 'godwit-reach-'));
  const local = path.join(folder, 'forward.sock');
  const options = ['-o', 'ExitOnForwardFailure=yes', '-o', 'StreamLocalBindUnlink=yes', '-N', '-L'];
  const [program, ...rest] = [...reach.command, ...options, `${local}:${target}`, '--', reach.host];
  const child = spawn(program!, rest, { stdio: ['ignore', 'ignore', 'pipe'], signal });
  child.on('error', () => undefined);
  const said = collect(child);
  const close = () => {
    child.kill();
    rmSync(folder, { recursive: true, force: true });
  };
  const deadlineMs = systemClock.nowMs() + FORWARD_TIMEOUT_MS;
  while (!existsSync(local)) {
    signal.throwIfAborted();
    if (child.exitCode !== null || systemClock.nowMs() > deadlineMs) {
      close();
      throw new GodwitError(
        'REACH_FAILED',
        `ssh cannot forward ${target} of ${reach.host}: ${said().trim()}`,
        {
          safe: 'nothing was touched',
          hint: `try "${reach.command.join(' ')} ${reach.host} true"`,
        },
      );
    }
    await sleep(POLL_MS);
  }
  return { path: local, close };
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
