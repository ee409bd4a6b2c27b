/**
 * Whether a process of another host lives, as that host's own system says. Linux. Not responsible
 * for what that means.
 */

import { farCommand, type ReachSpec, startFar } from './reach.ts';

const BYTES_MAX = 64 * 1024;

/**
 * "PID@START@BOOT": as process-identity.ts names it, and the boot id of its host, without which a restart
 * would show another process.
 */
export async function farProcessIdentity(
  reach: ReachSpec,
  threadId: number,
  signal: AbortSignal,
): Promise<string | null> {
  const script = `p=$(sed -n 's/^Tgid:[^0-9]*//p' /proc/${threadId}/status) && cat /proc/sys/kernel/random/boot_id /proc/$p/stat`;
  return identityIn(await farText(reach, script, signal));
}

/** null: not known, because that host does not say. */
export async function isFarProcessAlive(
  reach: ReachSpec,
  identity: string,
  signal: AbortSignal,
): Promise<boolean | null> {
  const processId = Number.parseInt(identity, 10);
  const script = [
    'export LC_ALL=C',
    'cat /proc/sys/kernel/random/boot_id',
    // /proc may hide it (hidepid); `kill -0` says whether anybody has its number.
    `{ cat /proc/${processId}/stat 2>/dev/null || kill -0 ${processId} 2>&1 || :; }`,
  ].join('; ');
  return isAliveIn(await farText(reach, script, signal), identity);
}

/** `text`: the boot id, then what that host says of the process. null: it proves nothing. */
export function isAliveIn(text: string | null, identity: string): boolean | null {
  const match = /^([0-9a-f-]{36})\n(.*)/s.exec(text ?? '');
  if (!match) return null;
  if (!identity.endsWith(`@${match[1]}`)) return false;
  if (/^\d+ \(/.test(match[2]!)) return identityIn(text) === identity;
  return /no such process/i.test(match[2]!) ? false : null;
}

/** The two files one after the other; null for anything else. A zombie has let go of its files and locks. */
export function identityIn(text: string | null): string | null {
  const match = /^([0-9a-f-]{36})\n(\d+) \(.*\) ([A-Za-z]) ((?:-?\d+ ){18})(\d+) /s.exec(text ?? '');
  if (!match || match[3] === 'Z' || match[3] === 'X') return null;
  return `${match[2]}@${match[5]}@${match[1]}`;
}

/** What `script` prints there; null where it could not be run. */
async function farText(reach: ReachSpec, script: string, signal: AbortSignal): Promise<string | null> {
  if (reach.listener != null || signal.aborted) return null;
  const child = startFar(farCommand(reach, ['sh', '-c', script]), 'pipe');
  let text = '';
  child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
    if (text.length < BYTES_MAX) text += chunk;
  });
  child.stderr?.resume();
  const ended = new Promise<number | null>((resolve) => {
    child.on('error', () => resolve(null));
    child.on('close', (code) => resolve(code));
  });
  const onAbort = () => child.kill();
  signal.addEventListener('abort', onAbort, { once: true });
  const code = await ended;
  signal.removeEventListener('abort', onAbort);
  return code === 0 && !signal.aborted ? text : null;
}
