/**
 * Takes the far gateway's socket folder away once its process has ended, however it ended: nobody else on
 * that host knows of it. A shell in a session of its own that waits for the end of a pipe. Best effort.
 */

import { spawn } from 'node:child_process';
import type { Socket } from 'node:net';
import path from 'node:path';

/**
 * The folder belongs to QEMU's user, who may put a link in its place: what is removed is named from inside,
 * and `rmdir` follows none.
 */
const SCRIPT = 'trap "" INT QUIT TERM HUP; read -r _; rm -f "./$1"; rmdir "$2"';

/** `socket`: the only file in its folder. The returned function lets the keeper go, and it tidies up. */
export function keepTidy(socket: string): () => void {
  const folder = path.dirname(socket);
  const child = spawn('/bin/sh', ['-c', SCRIPT, 'sh', path.basename(socket), folder], {
    cwd: folder,
    detached: true,
    stdio: ['pipe', 'ignore', 'ignore'],
  });
  const stdin = child.stdin as Socket;
  child.on('error', () => undefined);
  stdin.on('error', () => undefined);
  child.unref();
  stdin.unref();
  return () => stdin.end();
}
