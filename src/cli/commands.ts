/** The commands there are. Summaries stand here so that `godwit --help` loads no command. */

import type { CommandEntry } from './command.ts';

export const COMMANDS: readonly CommandEntry[] = [];
