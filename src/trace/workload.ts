/**
 * Synthetic workloads: those of the bare guest (src/lab/guest/README.md) under the same names and arguments,
 * and a few compositions that stand for kinds of servers. Not responsible for how pages are drawn
 * (groups.ts).
 */

import { GIB, GodwitError, MIB } from '../base/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { atRandom, byZipf, inTurn, type WriteGroup, whileBusy } from './groups.ts';
import { type GuestModel, type PageCost, STEP_MS } from './types.ts';

export const WORKLOADS = [
  'idle',
  'stress',
  'uniform',
  'zipf',
  'sweep',
  'phased',
  'mixed',
  'web',
  'stream',
  'memory-intensive',
] as const;
export type WorkloadName = (typeof WORKLOADS)[number];
export type Body = 'zero' | 'text' | 'random';

/** The bare guest's arguments; null has the same meaning as there. */
export interface WorkloadOptions {
  readonly workload: WorkloadName;
  readonly seed: number;
  readonly body: Body | null;
  readonly fillBytes: number | null;
  readonly fillAtBytes: number;
  readonly hotBytes: number | null;
  readonly hotAtBytes: number;
  /** Bytes of dirtied pages a second, 4,096 a write; null: as fast as the guest can. */
  readonly rateBytesPerSecond: number | null;
  readonly zipfExponent: number;
  readonly busyMs: number;
  readonly quietMs: number;
  /** The guest's clock when the migration begins. */
  readonly startMs: number;
}

export const WORKLOAD_DEFAULTS: Omit<WorkloadOptions, 'workload'> = {
  seed: 1,
  body: null,
  fillBytes: null,
  fillAtBytes: 0,
  hotBytes: null,
  hotAtBytes: 0,
  rateBytesPerSecond: null,
  zipfExponent: 0.99,
  busyMs: 2000,
  quietMs: 2000,
  startMs: 0,
};

/** Unthrottled, under TCG: the lab's README, "Speed". The compositions have a rate of their own. */
const UNTHROTTLED_BYTES_PER_SECOND: Readonly<Record<WorkloadName, number>> = {
  idle: 0,
  stress: 20e9,
  uniform: 2.1e9,
  zipf: 1.8e9,
  sweep: 2.8e9,
  phased: 2.3e9,
  mixed: 6.5e9,
  web: 12e6,
  stream: 20e6,
  'memory-intensive': 400e6,
};

/** Code, constants, heap and page tables of the bare guest; written by the heartbeat. */
const OWN_BYTES = 2 * MIB;
const OWN_HOT_PAGES = 4;
const PAGES_PER_TABLE_PAGE = 1024;

/**
 * Guests from this size on draw their writes by large-sets.ts. Smaller ones draw as they always did, so that
 * docs/results stay comparable.
 */
const LARGE_GUEST_PAGES = (16 * GIB) / PAGE_SIZE_BYTES;

interface Region {
  readonly firstPage: number;
  readonly pages: number;
}

/** Errors: USAGE_VALUE for a guest without a page to write. */
export function makeGuest(pageCount: number, given: Partial<WorkloadOptions>): GuestModel {
  const options: WorkloadOptions = { workload: 'idle', ...WORKLOAD_DEFAULTS, ...given };
  const own = Math.min(
    pageCount >>> 3,
    OWN_BYTES / PAGE_SIZE_BYTES + 2 * Math.ceil(pageCount / PAGES_PER_TABLE_PAGE),
  );
  const filled = within({ firstPage: own, pages: pageCount - own }, options.fillAtBytes, options.fillBytes);
  const hot = within(filled, options.hotAtBytes, options.hotBytes);
  const rate = options.rateBytesPerSecond ?? UNTHROTTLED_BYTES_PER_SECOND[options.workload];
  if (!(rate >= 0) || (hot.pages < 1 && options.workload !== 'idle')) {
    throw new GodwitError(
      'USAGE_VALUE',
      `a ${options.workload} guest of ${pageCount} pages has nothing to write`,
      {
        hint: 'give it more memory, or a smaller fillAt and hotAt',
        fields: { pageCount, hotPages: hot.pages },
      },
    );
  }
  const groups = [
    ...ownGroups(options, hot, rate / PAGE_SIZE_BYTES, own),
    ...workloadGroups(options, hot, filled, rate / PAGE_SIZE_BYTES, pageCount >= LARGE_GUEST_PAGES),
  ];
  const firstStep = Math.round(options.startMs / STEP_MS);
  const endPage = filled.firstPage + filled.pages;
  return {
    pageCount,
    content: { firstPage: 0, pageCount: endPage },
    cost: costOf(options),
    rates: groups.flatMap(({ rates }) => rates),
    quietMs: options.workload === 'phased' ? options.quietMs : 0,
    writeStep(sinceStart, sink) {
      const step = sinceStart + firstStep;
      for (let at = 0; at < groups.length; at++) {
        groups[at]!.write(step * STEP_MS, (step + 1) * STEP_MS, stepSeed(options.seed, step, at), sink);
      }
    },
  };
}

function within(region: Region, atBytes: number, sizeBytes: number | null): Region {
  const skip = Math.min(region.pages, Math.floor(atBytes / PAGE_SIZE_BYTES));
  const left = region.pages - skip;
  const pages = sizeBytes === null ? left : Math.min(left, Math.floor(sizeBytes / PAGE_SIZE_BYTES));
  return { firstPage: region.firstPage + skip, pages };
}

/**
 * What the bare guest writes besides its data: stack and heartbeat, the counter table and its mirror. Each
 * table has a page for 1,024 data pages.
 */
function ownGroups(options: WorkloadOptions, hot: Region, pagesPerSecond: number, own: number): WriteGroup[] {
  const groups = [inTurn(0, Math.min(OWN_HOT_PAGES, own || 1), 100 * OWN_HOT_PAGES)];
  const tables = Math.min(own - OWN_HOT_PAGES, 2 * Math.ceil(hot.pages / PAGES_PER_TABLE_PAGE));
  if (options.workload === 'idle' || tables < 1 || pagesPerSecond === 0) return groups;
  const writes = atRandom(OWN_HOT_PAGES, tables, 2 * pagesPerSecond);
  groups.push(options.workload === 'phased' ? whileBusy(writes, options.busyMs, options.quietMs) : writes);
  return groups;
}

function workloadGroups(
  options: WorkloadOptions,
  hot: Region,
  filled: Region,
  pagesPerSecond: number,
  large: boolean,
): WriteGroup[] {
  const { firstPage, pages } = hot;
  switch (options.workload) {
    case 'idle':
      return [];
    case 'stress':
    case 'sweep':
      return [inTurn(firstPage, pages, pagesPerSecond)];
    case 'uniform':
    case 'mixed':
      return [atRandom(firstPage, pages, pagesPerSecond, large)];
    case 'zipf':
      return [byZipf(firstPage, pages, pagesPerSecond, options.zipfExponent, large)];
    case 'phased':
      return [whileBusy(atRandom(firstPage, pages, pagesPerSecond, large), options.busyMs, options.quietMs)];
    // Sessions and caches are written by popularity, logs and page cache in turn.
    case 'web':
      return [
        byZipf(firstPage, Math.max(1, pages >>> 2), 0.8 * pagesPerSecond, 0.9, large),
        inTurn(firstPage, pages, 0.2 * pagesPerSecond),
      ];
    // Segments run through a ring of buffers; connection state is small and hot.
    case 'stream':
      return [
        inTurn(firstPage, Math.max(1, pages >>> 2), 0.9 * pagesPerSecond),
        atRandom(filled.firstPage, Math.max(1, Math.min(filled.pages, 256)), 0.1 * pagesPerSecond, large),
      ];
    // A solver: most writes in a quarter of memory, the rest anywhere.
    case 'memory-intensive':
      return [
        atRandom(firstPage, Math.max(1, pages >>> 2), 0.85 * pagesPerSecond, large),
        inTurn(firstPage, pages, 0.15 * pagesPerSecond),
      ];
  }
}

/** Text packs about 2.6 to 1 under zstd level 1 (the lab's README). */
const PACKED_BYTES: Readonly<Record<Body, number>> = { zero: 40, text: 1600, random: PAGE_SIZE_BYTES };
/** `stress` changes one word a page; eight bytes, their place, and what zstd cannot take away. */
const WORD_DELTA_BYTES = 16;
/** `mixed` rewrites one of eight segments a write; a page waits for a few of them between two sends. */
const SEGMENTS_DELTA_SHARE = 0.5;

function costOf(options: WorkloadOptions): PageCost {
  const body = options.body ?? (options.workload === 'mixed' ? 'text' : 'random');
  const packedBytes = PACKED_BYTES[body];
  if (options.workload === 'stress') return { packedBytes, deltaBytes: WORD_DELTA_BYTES };
  if (options.workload === 'mixed') return { packedBytes, deltaBytes: packedBytes * SEGMENTS_DELTA_SHARE };
  return { packedBytes, deltaBytes: packedBytes };
}

function stepSeed(seed: number, step: number, group: number): number {
  let mixed =
    Math.imul(seed ^ 0x9e3779b9, 0x85ebca6b) ^
    Math.imul(step + 1, 0xc2b2ae35) ^
    Math.imul(group + 1, 0x27d4eb2f);
  mixed = Math.imul(mixed ^ (mixed >>> 15), 0x2c1b3c6d);
  return (mixed ^ (mixed >>> 13)) >>> 0;
}
