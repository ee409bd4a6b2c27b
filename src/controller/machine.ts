/** One QEMU as recovery sees it, through its QMP socket; connects when asked and again after a failure. */

import { errorCode, errorMessage, GodwitError, sleep, systemClock } from '../base/index.ts';
import { connectQmp, type QmpClient, type QmpExecutor } from '../qmp/index.ts';
import type { Endpoint } from './journal.ts';
import { isAlive, qemuIdentity } from './process-identity.ts';
import { type Forward, forwardSocket } from './reach.ts';
import type { Machine, MachineStatus } from './recover.ts';

const POLL_MS = 10;
/** QEMU serves one client at a time; a dead controller's connection is closed by the kernel within moments. */
const CONNECT_TIMEOUT_MS = 5_000;
const FORWARD_TIMEOUT_MS = 20_000;
/** The first may find a connection that has just ended, the second one that ends under it. */
const ATTEMPTS = 3;

/** Nobody listens on the socket any more, or another QEMU does. */
function isRefused(error: unknown, forwarded: boolean): boolean {
  // ssh accepts here and is refused there: the connection ends before QEMU's greeting.
  if (forwarded && errorCode(error) === 'QMP_CLOSED') return true;
  const code = errorCode((error as { cause?: unknown }).cause);
  return errorCode(error) === 'QEMU_REPLACED' || code === 'ECONNREFUSED' || code === 'ENOENT';
}

/** Asking again would only wait as long again. */
function isSlow(error: unknown): boolean {
  return ['QMP_BUSY', 'QMP_TIMEOUT'].includes(errorCode(error));
}

/** `identity` of the endpoint: the process that must be behind the socket; null: whichever is. */
export function qmpMachine(
  { qmpPath, identity, reach }: Endpoint,
  existing: QmpClient | null = null,
): Machine & { close(): Promise<void> } {
  let client = existing;
  let forward: Forward | null = null;
  const open = async (): Promise<QmpExecutor> => {
    if (client) return client;
    const signal = AbortSignal.timeout(FORWARD_TIMEOUT_MS);
    forward ??= reach === null ? null : await forwardSocket(reach, qmpPath, signal);
    const opened = await connectQmp({ path: forward?.path ?? qmpPath, timeoutMs: CONNECT_TIMEOUT_MS });
    const found = identity === null ? null : await qemuIdentity(opened);
    if (found !== null && found !== identity) {
      await opened.close();
      throw new GodwitError('QEMU_REPLACED', `another QEMU listens on ${qmpPath} now`, {
        safe: 'nothing was asked of it',
      });
    }
    client = opened;
    return client;
  };
  /** One command over whichever connection there is; a connection that ends leaves the way free for the next. */
  const execute: QmpExecutor['execute'] = async (command, args, options) => {
    const qemu = await open();
    try {
      return await qemu.execute(command, args, options);
    } catch (error) {
      if (errorCode(error) !== 'QMP_COMMAND') await drop();
      throw error;
    }
  };
  const drop = async () => {
    const dropped = client;
    client = null;
    await dropped?.close();
  };
  const isGone = async (error: unknown) =>
    isRefused(error, reach?.host != null) && (identity === null || !(await isAlive(identity)));
  const status = async (): Promise<MachineStatus> => {
    for (let attempt = 1; ; attempt++) {
      try {
        const reply = (await execute('query-status')) as { status: string };
        return { state: 'answers', runState: reply.status };
      } catch (error) {
        if (await isGone(error)) return { state: 'gone' };
        if (attempt === ATTEMPTS || isSlow(error)) return { state: 'silent', why: errorMessage(error) };
        // Refused although its process lives: it is on its way out.
        await sleep(POLL_MS);
      }
    }
  };
  return {
    status,
    execute,
    async quit(timeoutMs) {
      const deadlineMs = systemClock.nowMs() + timeoutMs;
      while (systemClock.nowMs() < deadlineMs) {
        try {
          await execute('quit');
        } catch (error) {
          if (await isGone(error)) return true;
        }
        await sleep(POLL_MS);
      }
      return false;
    },
    async close() {
      await drop();
      forward?.close();
    },
  };
}
