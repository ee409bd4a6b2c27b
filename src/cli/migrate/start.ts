/** `--start` and `--map` of `godwit migrate`. Not responsible for what becomes of them (src/launch). */

import { GodwitError } from '../../base/index.ts';
import type { StartOptions } from '../../controller/index.ts';
import type { CommandOptions } from '../command.ts';

/** null: the destination QEMU waits there already. Errors: USAGE_VALUE. */
export function readStart(options: CommandOptions): StartOptions | null {
  const maps = (options['map'] as readonly string[] | undefined) ?? [];
  if (options['start'] !== true) {
    if (maps.length > 0)
      throw usage('--map says how things are called for a QEMU that --start starts', 'add --start');
    return null;
  }
  return { maps: maps.map(readMap) };
}

function readMap(text: string): readonly [string, string] {
  const match = /^([^=]+)=([^=\n]+)$/.exec(text);
  if (match === null)
    throw usage(`--map "${text}" is no OLD=NEW`, 'write --map /vms=/srv/vms, or --map tap0=tap1');
  const [, from = '', to = ''] = match.map((one) => (one.length > 1 ? one.replace(/\/+$/, '') : one));
  return [from, to];
}

function usage(message: string, hint: string): GodwitError {
  return new GodwitError('USAGE_VALUE', message, { safe: 'nothing was started or changed', hint });
}
