/**
 * `godwit lab profile FILE`: measures this machine's stages and writes them for `godwit simulate
 * --profile`.
 */

import { writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { measureProfile } from '../../lab/index.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../exit.ts';

/** Errors: LAB_TOOL_MISSING, LAB_VM_FAILED; the file system's. */
export async function writeProfile(file: string, context: CommandContext): Promise<number> {
  const name = basename(file, '.json').slice(0, 64);
  const profile = await measureProfile({ name, log: (text) => context.err.write(`${text} …\n`) });
  writeFileSync(file, `${JSON.stringify(profile, null, 2)}\n`);
  context.out.write(`${file}: godwit simulate --profile ${file}\n`);
  return EXIT.ok;
}
