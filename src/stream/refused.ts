/** What of a stream is not taken apart, and the commands that leave the bytes after them what they were. */

import type { PassThroughReason } from './types.ts';
import { COMMAND } from './wire.ts';

/** Section 9: with one of these enabled nothing is decoded at all. */
export const REFUSED_CAPABILITIES: readonly (readonly [string, PassThroughReason])[] = [
  ['multifd', 'multifd'],
  ['xbzrle', 'xbzrle'],
  ['compress', 'compress'],
  ['mapped-ram', 'mapped-ram'],
  ['x-colo', 'colo'],
  ['background-snapshot', 'background-snapshot'],
];

/** Section 4. Commands that only announce something; all others change what the bytes after them mean. */
export const PLAIN_COMMANDS: ReadonlySet<number> = new Set([
  COMMAND.openReturnPath,
  COMMAND.ping,
  COMMAND.postcopyAdvise,
  COMMAND.switchoverStart,
]);
