/** Every kind of fault there is. */

import type { Kind } from '../kind.ts';
import { COMMAND_KINDS } from './commands.ts';
import { LINK_KINDS } from './link.ts';
import { MONITOR_KINDS } from './monitor.ts';
import { POST_COPY_KINDS } from './post-copy.ts';
import { PROCESS_KINDS } from './process.ts';
import { SETTING_KINDS } from './setting.ts';
import { STATE_KINDS } from './state.ts';

export const KINDS: readonly Kind[] = [
  ...PROCESS_KINDS,
  ...MONITOR_KINDS,
  ...LINK_KINDS,
  ...STATE_KINDS,
  ...COMMAND_KINDS,
  ...SETTING_KINDS,
  ...POST_COPY_KINDS,
];
