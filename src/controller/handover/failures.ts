/** Failures of a migration as errors with codes. Not responsible for what is done about them. */

import { errorCode, errorMessage, GodwitError } from '../../base/index.ts';
import { type QmpExecutor, queryMigrate } from '../../qmp/index.ts';
import type { Preflight } from '../preflight/preflight.ts';

/** Failures of the destination's load, of which QEMU there may know more. */
const LOAD_FAILURES: ReadonlySet<string> = new Set([
  'DESTINATION_CLOSED',
  'DESTINATION_REFUSED',
  'DESTINATION_NOT_STARTED',
  'PREPARE_TIMEOUT',
]);
const LOAD_ERROR_TIMEOUT_MS = 500;

export function qmpLost(side: 'source' | 'destination', cause: unknown): GodwitError {
  const code = side === 'source' ? 'SOURCE_GONE' : 'DESTINATION_GONE';
  return new GodwitError(code, `the ${side} QEMU ended or closed its QMP connection`, { cause });
}

/** What QEMU itself says (often only that it failed), and which refusals the operator had overridden. */
function withReasons(error: GodwitError, told: string | null, overridden: readonly string[]): GodwitError {
  const reasons = [...(told === null ? [] : [told]), ...overridden.map((text) => `overridden: ${text}`)];
  if (reasons.length === 0) return error;
  return new GodwitError(error.code, `${error.message}: ${reasons.join('; ')}`, {
    ...(error.safe === null ? {} : { safe: error.safe }),
    ...(error.hint === null ? {} : { hint: error.hint }),
    cause: error,
  });
}

export function asGodwitError(error: unknown): GodwitError {
  if (error instanceof GodwitError) return error;
  return new GodwitError(errorCode(error), errorMessage(error), { cause: error });
}

/**
 * Each QEMU may know more: a destination that was told not to exit on a failed load, a source
 * that closed its connection.
 */
export async function withLoadError(
  error: GodwitError,
  { source, destination }: { source: QmpExecutor; destination: QmpExecutor },
  { destinationTellsWhy, findings }: Preflight,
): Promise<GodwitError> {
  if (error.code === 'SOURCE_CLOSED') {
    const why = await queryMigrate(source, { timeoutMs: LOAD_ERROR_TIMEOUT_MS }).catch(() => null);
    return withReasons(error, why?.errorDesc ?? null, []);
  }
  if (!destinationTellsWhy || !LOAD_FAILURES.has(error.code)) return error;
  const why = await queryMigrate(destination, { timeoutMs: LOAD_ERROR_TIMEOUT_MS }).catch(() => null);
  const overridden = findings.filter(({ forced }) => forced).map(({ text }) => text);
  return withReasons(error, why?.errorDesc ?? null, overridden);
}
