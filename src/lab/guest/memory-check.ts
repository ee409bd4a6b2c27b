/**
 * The host's own check of the guest's memory from a dump: which pages differ from what seed and counters say.
 * It does not depend on the guest's code, but it does on the guest's counter table. Another check compares
 * the RAM of both ends page by page (judge/oracle.ts).
 */

import { GodwitError } from '../../base/index.ts';
import { expectedPage, PAGE_BYTES, type PageContent } from './content.ts';
import { GUEST_BODIES, GUEST_WORKLOADS } from './options.ts';

/** Where the guest keeps what a reader of its memory needs (bare/guest.ld). */
const GUEST_FACTS_ADDRESS = 0x110000;
const FACTS_MAGIC = 0x3153544346574447n;
const REGION_MAX = 4;
const PAGES_MAX = 2 ** 27;

/** Bytes of guest physical memory. The result may be a view; it is read before the next call. */
export type ReadGuestMemory = (address: number, lengthBytes: number) => Uint8Array;

export interface GuestFacts {
  readonly content: PageContent;
  readonly pageCount: number;
  readonly filledPages: number;
  readonly fillAtPage: number;
  readonly hotPages: number;
  readonly hotAtPage: number;
  readonly tableAddress: number;
  readonly mirrorAddress: number;
  readonly pagesWritten: number;
  /**
   * The page (physical address / 4,096) that was being written when the memory was taken; null when none was.
   */
  readonly pageInFlight: number | null;
  readonly heartbeats: number;
  readonly diskSequence: number;
  readonly running: boolean;
  readonly regions: readonly { readonly firstPage: number; readonly pageCount: number }[];
}

export interface MemoryCheck {
  readonly pages: number;
  readonly badPages: number;
  /** Index among the data pages, as the guest's own report counts; null when none is bad. */
  readonly firstBadPage: number | null;
  readonly badRows: number;
  readonly countersAddUp: boolean;
  /** The same figure as the guest's own verification prints. */
  readonly checksum: string;
}

function readGuestFacts(read: ReadGuestMemory): GuestFacts {
  const bytes = read(GUEST_FACTS_ADDRESS, PAGE_BYTES);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (view.getBigUint64(0, true) !== FACTS_MAGIC) refuse('no guest facts at their address');
  const word = (index: number, most: number): number => {
    const value = view.getBigUint64(index * 8, true);
    if (value > BigInt(most)) refuse(`guest fact ${index} is ${value}`);
    return Number(value);
  };
  const workload = GUEST_WORKLOADS[word(2, GUEST_WORKLOADS.length - 1)]!;
  const body = GUEST_BODIES[word(3, GUEST_BODIES.length - 1)]!;
  const regions = [];
  for (let region = 0; region < word(17, REGION_MAX); region++) {
    regions.push({ firstPage: word(18 + region * 2, 2 ** 32), pageCount: word(19 + region * 2, PAGES_MAX) });
  }
  const pageCount = word(4, PAGES_MAX);
  if (regions.reduce((sum, region) => sum + region.pageCount, 0) !== pageCount) {
    refuse('the regions do not add up');
  }
  return {
    content: { seed: word(1, 0xffffffff), workload, body },
    pageCount,
    filledPages: word(5, pageCount),
    fillAtPage: word(6, pageCount),
    hotPages: word(7, pageCount),
    hotAtPage: word(8, 2 ** 40),
    tableAddress: word(9, 2 ** 40),
    mirrorAddress: word(10, 2 ** 40),
    pagesWritten: word(11, Number.MAX_SAFE_INTEGER),
    pageInFlight: word(12, 2 ** 32) || null,
    heartbeats: word(13, Number.MAX_SAFE_INTEGER),
    diskSequence: word(14, Number.MAX_SAFE_INTEGER),
    running: word(15, 1) === 1,
    regions,
  };
}

/** Judges every data page, except one that the facts name as half written. */
export function checkGuestMemory(read: ReadGuestMemory): MemoryCheck {
  const facts = readGuestFacts(read);
  const table = readWords(read, facts.tableAddress, facts.pageCount);
  const mirror = readWords(read, facts.mirrorAddress, facts.pageCount);
  const expected = new Uint32Array(PAGE_BYTES / 4);
  const expectedBytes = new Uint8Array(expected.buffer);
  const zero = new Uint8Array(PAGE_BYTES);
  let badPages = 0;
  let badRows = 0;
  let firstBadPage: number | null = null;
  let sum = 0;
  let index = 0;
  let checksum = 1n;
  for (const region of facts.regions) {
    for (let offset = 0; offset < region.pageCount; offset++, index++) {
      const pageNumber = region.firstPage + offset;
      const page = read(pageNumber * PAGE_BYTES, PAGE_BYTES);
      checksum = nextChecksum(checksum, page);
      sum += table[index]!;
      if (pageNumber === facts.pageInFlight) continue;
      const rowIsGood = table[index] === ~mirror[index]! >>> 0;
      if (!rowIsGood) badRows++;
      const filled = index >= facts.fillAtPage && index < facts.fillAtPage + facts.filledPages;
      if (filled) expectedPage(facts.content, pageNumber, table[index]!, expected);
      if (rowIsGood && Buffer.compare(page, filled ? expectedBytes : zero) === 0) continue;
      badPages++;
      firstBadPage ??= index;
    }
  }
  const tolerance = facts.pageInFlight === null ? 0 : 1;
  return {
    pages: facts.pageCount,
    badPages,
    firstBadPage,
    badRows,
    countersAddUp: Math.abs(sum - facts.pagesWritten) <= tolerance,
    checksum: checksum.toString(16).padStart(16, '0'),
  };
}

const U64 = (1n << 64n) - 1n;

function nextChecksum(checksum: bigint, page: Uint8Array): bigint {
  const first = new DataView(page.buffer, page.byteOffset, 8).getBigUint64(0, true);
  let next = (checksum + first + 1n) & U64;
  next ^= (next << 13n) & U64;
  next ^= next >> 7n;
  return next ^ ((next << 17n) & U64);
}

function readWords(read: ReadGuestMemory, address: number, count: number): Uint32Array {
  const words = new Uint32Array(count);
  const bytes = new Uint8Array(words.buffer);
  for (let done = 0; done < bytes.length; done += PAGE_BYTES) {
    bytes.set(read(address + done, Math.min(PAGE_BYTES, bytes.length - done)), done);
  }
  return words;
}

function refuse(text: string): never {
  throw new GodwitError('GUEST_DUMP_UNREADABLE', text, {
    hint: "it must be the physical memory of godwit's own guest",
  });
}
