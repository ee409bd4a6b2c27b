/** Waiting for a step no longer than somebody wants to. Not responsible for stopping the step itself. */

import { sleep } from './clock.ts';

/** As `step`, or the signal's reason once it is aborted: for promises that do not know the signal. */
export async function orAborted<Value>(step: Promise<Value>, signal: AbortSignal): Promise<Value> {
  step.catch(() => undefined);
  const { promise, reject } = Promise.withResolvers<never>();
  promise.catch(() => undefined);
  const onAbort = () => reject(signal.reason);
  signal.addEventListener('abort', onAbort, { once: true });
  if (signal.aborted) onAbort();
  try {
    return await Promise.race([step, promise]);
  } finally {
    signal.removeEventListener('abort', onAbort);
  }
}

/** As `step`, or `lateError` once it has taken longer than `timeoutMs`. */
export async function within<Value>(
  step: Promise<Value>,
  timeoutMs: number,
  lateError: () => Error,
): Promise<Value> {
  const over = new AbortController();
  const late = sleep(timeoutMs, over.signal).then(() => {
    throw lateError();
  });
  late.catch(() => undefined);
  try {
    return await Promise.race([step, late]);
  } finally {
    over.abort();
  }
}

/** As AbortSignal.timeout, which refuses fractions: what is left of a time has them. */
export function timeoutSignal(ms: number): AbortSignal {
  return AbortSignal.timeout(Math.ceil(ms));
}
