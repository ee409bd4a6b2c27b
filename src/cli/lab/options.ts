/** Reads the options of `godwit lab`. */

import type { CommandOptions } from '../command.ts';

/** Null where the option was not given. */
export function textOf(options: CommandOptions, name: string): string | null {
  const value = options[name];
  return typeof value === 'string' ? value : null;
}
