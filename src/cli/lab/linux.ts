/** `godwit lab linux`: the Linux guest's image, built or found in the cache. */

import { statSync } from 'node:fs';
import { formatBytes, formatMs, GodwitError, systemClock } from '../../base/index.ts';
import { buildLinuxImage, LINUX_PROGRAMS } from '../../lab/index.ts';
import type { CommandContext, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';

/** Errors: USAGE_VALUE, LAB_PACKAGES, LAB_COMMAND_FAILED. */
export async function buildLinux(
  name: string,
  options: CommandOptions,
  { out }: CommandContext,
): Promise<number> {
  const programs = name === '' ? LINUX_PROGRAMS : LINUX_PROGRAMS.filter((program) => program === name);
  if (programs.length === 0) {
    throw new GodwitError('USAGE_VALUE', `the Linux guest has no program "${name.slice(0, 64)}"`, {
      hint: `one of ${LINUX_PROGRAMS.join(', ')}`,
      safe: 'nothing was downloaded',
    });
  }
  const images = [];
  for (const program of programs) {
    const startMs = systemClock.nowMs();
    const image = await buildLinuxImage(program);
    images.push({ program, ...image });
    if (options['json'] === true) continue;
    const { kernelPath, initramfsPath } = image;
    const size = formatBytes(statSync(initramfsPath).size);
    out.write(
      `${program}: ${initramfsPath} (${size}), ${kernelPath}  ${formatMs(systemClock.nowMs() - startMs)}\n`,
    );
  }
  if (options['json'] === true) out.write(`${JSON.stringify(images)}\n`);
  return EXIT.ok;
}
