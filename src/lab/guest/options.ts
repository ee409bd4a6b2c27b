/**
 * What the bare guest can be asked for, its defaults, and its command line.
 * Not responsible for starting QEMU.
 */

import { fileURLToPath } from 'node:url';
import { GodwitError } from '../../base/index.ts';

/** The committed program, for `-kernel`. */
export const GUEST_BINARY_PATH = fileURLToPath(new URL('./bare/godwit-guest.elf', import.meta.url));

export const GUEST_WORKLOADS = ['idle', 'stress', 'uniform', 'zipf', 'sweep', 'phased', 'mixed'] as const;
export type GuestWorkload = (typeof GUEST_WORKLOADS)[number];

/** `text` compresses about 2.6 to 1 under zstd level 1; `random` not at all. */
export const GUEST_BODIES = ['zero', 'text', 'random'] as const;
export type GuestBody = (typeof GUEST_BODIES)[number];

export interface GuestOptions {
  readonly workload: GuestWorkload;
  /** Null: `text` for mixed, else `random`. */
  readonly body: GuestBody | null;
  /** RAM used for data pages; null: all that the guest does not need itself. */
  readonly memoryBytes: number | null;
  /**
   * Data pages that get content before the workload starts; the others stay zero. Null: all from
   * `fillAtBytes` on.
   */
  readonly fillBytes: number | null;
  readonly fillAtBytes: number;
  /** The region that the workload writes; null: all that is filled from `hotAtBytes` on. */
  readonly hotBytes: number | null;
  /** Counted from the first filled page. */
  readonly hotAtBytes: number;
  /**
   * Bytes of dirtied pages a second: each write counts 4,096, however little of the page it changes. Null:
   * unthrottled.
   */
  readonly rateBytesPerSecond: number | null;
  readonly seed: number;
  /** 0 (uniform) to 2, in steps of 0.001. */
  readonly zipfExponent: number;
  readonly busyMs: number;
  readonly quietMs: number;
  readonly beatMs: number;
  /** Write a sequenced log to the first virtio-blk disk on PCI bus 0. */
  readonly disk: boolean;
  readonly diskRecordsPerSecond: number;
  readonly diskLogBytes: number;
}

/** bare/args.c has the same defaults; a live test compares the two. */
export const GUEST_DEFAULTS: GuestOptions = {
  workload: 'idle',
  body: null,
  memoryBytes: null,
  fillBytes: null,
  fillAtBytes: 0,
  hotBytes: null,
  hotAtBytes: 0,
  rateBytesPerSecond: null,
  seed: 1,
  zipfExponent: 0.99,
  busyMs: 2000,
  quietMs: 2000,
  beatMs: 10,
  disk: false,
  diskRecordsPerSecond: 20,
  diskLogBytes: 1024 * 1024,
};

export function bodyOf(options: Pick<GuestOptions, 'workload' | 'body'>): GuestBody {
  return options.body ?? (options.workload === 'mixed' ? 'text' : 'random');
}

/**
 * The text for QEMU's `-append`. Every option is written out, so that a recorded command line says it all.
 */
export function guestCommandLine(partial: Partial<GuestOptions> = {}): string {
  const options = { ...GUEST_DEFAULTS, ...partial };
  const { memoryBytes, fillBytes, hotBytes, rateBytesPerSecond } = options;
  const words = [
    `workload=${oneOf('workload', options.workload, GUEST_WORKLOADS)}`,
    `body=${oneOf('body', bodyOf(options), GUEST_BODIES)}`,
    `memory=${memoryBytes === null ? 'all' : integer('memoryBytes', memoryBytes, 1024 * 1024)}`,
    `fill=${fillBytes === null ? 'all' : integer('fillBytes', fillBytes, 0)}`,
    `fillat=${integer('fillAtBytes', options.fillAtBytes, 0)}`,
    `hot=${hotBytes === null ? 'all' : integer('hotBytes', hotBytes, 4096)}`,
    `hotat=${integer('hotAtBytes', options.hotAtBytes, 0)}`,
    `rate=${rateBytesPerSecond === null ? 'max' : integer('rateBytesPerSecond', Math.round(rateBytesPerSecond), 4096, 2 ** 36)}`,
    `seed=${integer('seed', options.seed, 0, 0xffffffff)}`,
    `zipf=${(integer('zipfExponent in thousandths', Math.round(options.zipfExponent * 1000), 0, 2000) / 1000).toFixed(3)}`,
    `busy=${integer('busyMs', options.busyMs, 1, 3_600_000)}`,
    `quiet=${integer('quietMs', options.quietMs, 1, 3_600_000)}`,
    `beat=${integer('beatMs', options.beatMs, 1, 60_000)}`,
    `disk=${options.disk ? 1 : 0}`,
    `diskrate=${integer('diskRecordsPerSecond', options.diskRecordsPerSecond, 1, 1000)}`,
    `disklog=${integer('diskLogBytes', options.diskLogBytes, 4096, 2 ** 30)}`,
  ];
  // The loader puts the kernel's file name first; `--` ends it even if it holds spaces or equals signs.
  return `-- ${words.join(' ')}`;
}

function integer(name: string, value: number, least: number, most = 2 ** 50): number {
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new GodwitError('USAGE_VALUE', `guest option ${name} is ${value}`, {
    hint: `it must be an integer from ${least} to ${most}`,
    fields: { option: name, value, least, most },
  });
}

function oneOf(name: string, value: string, allowed: readonly string[]): string {
  if (allowed.includes(value)) return value;
  throw new GodwitError('USAGE_VALUE', `guest option ${name} is "${value}"`, {
    hint: `one of ${allowed.join(', ')}`,
  });
}
