/**
 * Error codes of the lab; docs/errors.md explains them. Not responsible for naming how a migration failed:
 * runs record that.
 */

import { GodwitError, type GodwitErrorOptions } from '../base/index.ts';

export type LabErrorCode =
  /** A program the lab needs is not installed, or does not start. */
  | 'LAB_TOOL_MISSING'
  /** A command that builds the network or a disk image failed. */
  | 'LAB_COMMAND_FAILED'
  /** A lab VM did not start, died, or did not say what it should in time. */
  | 'LAB_VM_FAILED'
  /** The Debian packages of the Linux guest cannot be had here. */
  | 'LAB_PACKAGES'
  /** A plan file is wrong. */
  | 'LAB_PLAN'
  /** Raw results that cannot be read. */
  | 'LAB_RESULTS';

export function labError(code: LabErrorCode, message: string, options: GodwitErrorOptions = {}): GodwitError {
  return new GodwitError(code, message, options);
}
