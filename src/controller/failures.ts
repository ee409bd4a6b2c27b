/** Failures of a migration as errors with codes. Not responsible for what is done about them. */

import { errorCode, errorMessage, GodwitError } from '../base/index.ts';

/** Failures of the destination's load, of which QEMU there may know more. */
export const LOAD_FAILURES: ReadonlySet<string> = new Set([
  'DESTINATION_CLOSED',
  'DESTINATION_REFUSED',
  'DESTINATION_NOT_STARTED',
  'PREPARE_TIMEOUT',
]);
export const LOAD_ERROR_TIMEOUT_MS = 500;

export function gone(side: 'source' | 'destination', cause: unknown): GodwitError {
  return new GodwitError(
    `${side.toUpperCase()}_GONE`,
    `the ${side} QEMU ended or closed its QMP connection`,
    { cause },
  );
}

export function asGodwitError(error: unknown): GodwitError {
  if (error instanceof GodwitError) return error;
  return new GodwitError(errorCode(error), errorMessage(error), { cause: error });
}
