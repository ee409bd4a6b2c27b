/** One QEMU as recovery sees it, through its QMP socket; connects when asked and again after a failure. */

import { errorCode, errorMessage, sleep, systemClock } from '../base/index.ts';
import { connectQmp, type QmpClient } from '../qmp/index.ts';
import type { Machine } from './recover.ts';

const POLL_MS = 20;
/** QEMU serves one client at a time; a dead controller's connection is closed by the kernel within moments. */
const CONNECT_TIMEOUT_MS = 5_000;

/** Nobody listens on the socket any more: its QEMU has ended. */
function meansGone(error: unknown): boolean {
  const codes = [errorCode(error), errorCode((error as { cause?: unknown }).cause)];
  return codes.includes('ECONNREFUSED') || codes.includes('ENOENT') || codes.includes('ECONNRESET');
}

export function qmpMachine(
  qmpPath: string,
  existing: QmpClient | null = null,
): Machine & { close(): Promise<void> } {
  let client = existing;
  const watch = (opened: QmpClient) => {
    void opened.closed.then(() => {
      if (client === opened) client = null;
    });
    return opened;
  };
  if (client) watch(client);
  const open = async () => {
    client ??= watch(await connectQmp({ path: qmpPath, timeoutMs: CONNECT_TIMEOUT_MS }));
    return client;
  };
  return {
    async status() {
      for (let attempt = 1; ; attempt++) {
        try {
          const reply = (await (await open()).execute('query-status')) as { status: string };
          return { state: 'answers', runState: reply.status };
        } catch (error) {
          if (meansGone(error)) return { state: 'gone' };
          // The connection ended under the command; whether QEMU did too, a second look tells.
          if (attempt === 2) return { state: 'silent', why: errorMessage(error) };
        }
      }
    },
    async execute(command, args, options) {
      return (await open()).execute(command, args, options);
    },
    async quit(timeoutMs) {
      const deadlineMs = systemClock.nowMs() + timeoutMs;
      while (systemClock.nowMs() < deadlineMs) {
        try {
          await (await open()).execute('quit');
        } catch (error) {
          if (meansGone(error)) return true;
        }
        await sleep(POLL_MS);
      }
      return false;
    },
    async close() {
      await client?.close();
    },
  };
}
