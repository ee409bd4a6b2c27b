/**
 * What the exit code tells a script:
 *
 *   0    done; of `migrate`: the VM is at the destination
 *   1    failed, as safe as the message says; of `migrate`: the source has the VM
 *   2    the command line or a value in it was wrong; nothing was touched
 *   3    in doubt: the text says what an operator must do before either VM is started
 *   70   a bug in godwit (an assertion failed, an error without a code of ours)
 *   129, 130, 143   ended by SIGHUP, Ctrl-C, SIGTERM
 */

import { GodwitError } from '../base/index.ts';

export const EXIT = {
  ok: 0,
  failed: 1,
  usage: 2,
  inDoubt: 3,
  internal: 70,
  hangup: 129,
  interrupted: 130,
  terminated: 143,
} as const;

/** Error codes whose exit code is not that of a plain failure. */
const EXIT_OF_CODE: Readonly<Record<string, number>> = {
  IN_DOUBT: EXIT.inDoubt,
  INTERRUPTED: EXIT.interrupted,
  // What a strategy says of its options: as wrong a command line as any.
  STRATEGY_UNKNOWN: EXIT.usage,
  PARAMETER_UNKNOWN: EXIT.usage,
  PARAMETER_RANGE: EXIT.usage,
};

export function exitCodeOf(error: unknown): number {
  if (!(error instanceof GodwitError)) return isSystemError(error) ? EXIT.failed : EXIT.internal;
  const special = EXIT_OF_CODE[error.code];
  if (special !== undefined) return special;
  if (error.code.startsWith('USAGE_')) return EXIT.usage;
  return error.code.endsWith('_IN_DOUBT') ? EXIT.inDoubt : EXIT.failed;
}

/** A missing file is no bug, a TypeError is one. Node names a system call in errors of the first kind. */
export function isSystemError(error: unknown): error is NodeJS.ErrnoException {
  return error instanceof Error && 'syscall' in error && 'code' in error;
}
