/** A Linux guest in a plan: its program and its machine. Not responsible for opening it (cell-guest.ts). */

import { z } from 'zod';
import { GodwitError, parseSize } from '../../base/index.ts';
import { buildLinuxImage } from '../linux/image.ts';
import { LINUX_MEMORY_BYTES } from '../linux/pair.ts';
import {
  LINUX_PROGRAMS,
  type LinuxGuestOptions,
  type LinuxProgram,
  PROGRAM_RECIPES,
} from '../linux/programs.ts';
import type { Network } from '../network/network.ts';
import { measure, name } from './plan-fields.ts';

const VCPUS_MAX = 16;

export const linuxFields = {
  program: z.enum(LINUX_PROGRAMS).optional(),
  /** Default 512 MiB, whatever the plan says of the bare guest. */
  memory: measure(parseSize).optional(),
  vcpus: z.number().int().min(1).max(VCPUS_MAX).optional(),
  /** Default `q35`. */
  machine: name.optional(),
  /** `program: stress` and `stress-ng`: what they write over and over. Default 200 MiB. */
  stress: measure(parseSize).optional(),
};

export interface LinuxWorkload {
  readonly program: LinuxProgram;
  readonly memoryBytes: number;
  readonly vcpus: number;
  readonly machine: string;
  readonly guest: Partial<LinuxGuestOptions>;
}

interface Fields {
  readonly memory?: number | undefined;
  readonly vcpus?: number | undefined;
  readonly machine?: string | undefined;
  readonly stress?: number | undefined;
}

export function linuxWorkload(program: LinuxProgram, fields: Fields): LinuxWorkload {
  return {
    program,
    memoryBytes: fields.memory ?? LINUX_MEMORY_BYTES,
    vcpus: fields.vcpus ?? 1,
    machine: fields.machine ?? 'q35',
    guest: fields.stress === undefined ? {} : { stressBytes: fields.stress },
  };
}

/** Builds the image, or says why this machine cannot run the guest. Errors: LAB_COMMAND_FAILED. */
export async function missingLinux({ program }: LinuxWorkload, network: Network): Promise<string | null> {
  if (PROGRAM_RECIPES[program].port !== null && network.note !== null) {
    return `clients could not reach it (${network.note})`;
  }
  try {
    await buildLinuxImage(program);
    return null;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'LAB_PACKAGES') return error.message;
    throw error;
  }
}
