/**
 * The second oracle, outside the guest: every RAM block of two stopped VMs compared page by page, ROM and
 * video memory included, read from the QEMU processes themselves, so that neither QEMU's migration code nor
 * ours has a part in it. Not responsible for stopping the VMs. Needs QEMU 8.1 (`info ramblock` with host
 * addresses).
 */

import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { assert } from '../../base/index.ts';
import { humanMonitorCommand, queryStatus } from '../../qmp/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { labError } from '../errors.ts';
import type { Vm } from '../machine/vm.ts';

export interface HostRamBlock {
  readonly id: string;
  /** In the QEMU process. */
  readonly hostAddress: number;
  readonly sizeBytes: number;
}

export interface RamDifference {
  readonly block: string;
  /** In the block. */
  readonly pageIndex: number;
}

export interface RamComparison {
  readonly blocks: readonly { readonly id: string; readonly pages: number; readonly differing: number }[];
  readonly pages: number;
  readonly differing: number;
  /** Null where all are equal. */
  readonly first: RamDifference | null;
}

const CHUNK_BYTES = 1024 * 1024;
const BLOCKS_MAX = 4096;

/**
 * Errors: LAB_VM_FAILED where a VM still runs, the blocks differ in name or size, or QEMU does not show where
 * they are.
 */
export async function compareRam(source: Vm, destination: Vm): Promise<RamComparison> {
  for (const vm of [source, destination]) await requireStopped(vm);
  return (await ramComparison(source, destination))();
}

/**
 * Finds the blocks now, while either VM may run; what is returned compares their content when it is called,
 * at once, for moments that wait for nobody. Both VMs must stand still then. Errors: as compareRam.
 */
export async function ramComparison(source: Vm, destination: Vm): Promise<() => RamComparison> {
  const [left, right] = [await ramBlocks(source), await ramBlocks(destination)];
  if (describe(left) !== describe(right)) {
    throw labError('LAB_VM_FAILED', `different RAM blocks: ${describe(left)} and ${describe(right)}`);
  }
  return () => compareBlocks(source, destination, left, right);
}

function compareBlocks(
  source: Vm,
  destination: Vm,
  left: readonly HostRamBlock[],
  right: readonly HostRamBlock[],
): RamComparison {
  const files = [openMemory(source, 'r'), openMemory(destination, 'r')] as const;
  try {
    let first: RamDifference | null = null;
    const blocks = left.map((block, index) => {
      const differing = differingPages(files, block, right[index]!.hostAddress);
      if (differing.length > 0) first ??= { block: block.id, pageIndex: differing[0]! };
      return { id: block.id, pages: block.sizeBytes / PAGE_SIZE_BYTES, differing: differing.length };
    });
    const sum = (read: (block: (typeof blocks)[number]) => number) =>
      blocks.reduce((total, block) => total + read(block), 0);
    return { blocks, pages: sum((block) => block.pages), differing: sum((block) => block.differing), first };
  } finally {
    for (const file of files) closeSync(file);
  }
}

/** Flips one bit of one page without QEMU's knowledge; the checks must find this damage. */
export async function damagePage(vm: Vm, where: RamDifference): Promise<void> {
  const block = (await ramBlocks(vm)).find(({ id }) => id === where.block);
  assert(block && where.pageIndex * PAGE_SIZE_BYTES < block.sizeBytes, `${where.block} has that page`);
  const address = block.hostAddress + where.pageIndex * PAGE_SIZE_BYTES + PAGE_SIZE_BYTES - 8;
  const file = openMemory(vm, 'r+');
  try {
    const byte = new Uint8Array(1);
    readFully(file, byte, address);
    byte[0]! ^= 1;
    writeSync(file, byte, 0, 1, address);
  } finally {
    closeSync(file);
  }
}

/** Errors: LAB_VM_FAILED where QEMU does not show the blocks' host addresses. */
async function ramBlocks(vm: Vm): Promise<HostRamBlock[]> {
  return parseRamBlocks(await humanMonitorCommand(vm.qmp, 'info ramblock'));
}

/**
 * The table of `info ramblock`: name, page size, offset, used, total, host address, flags. Names may hold
 * spaces.
 */
export function parseRamBlocks(table: string): HostRamBlock[] {
  const blocks: HostRamBlock[] = [];
  for (const line of table.split('\n').slice(1, BLOCKS_MAX)) {
    if (line.trim() === '') continue;
    const row = /^\s*(\S.*?)\s+[\d.]+ \w+\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)/.exec(
      line,
    );
    if (!row) {
      throw labError('LAB_VM_FAILED', `"info ramblock" shows no host address: ${line.trim()}`, {
        hint: 'comparing RAM needs QEMU 8.1 or newer',
      });
    }
    const sizeBytes = Number.parseInt(row[2]!, 16);
    blocks.push({ id: row[1]!, hostAddress: Number.parseInt(row[3]!, 16), sizeBytes });
  }
  return blocks.sort((one, other) => (one.id < other.id ? -1 : 1));
}

async function requireStopped(vm: Vm): Promise<void> {
  const { running, status } = await queryStatus(vm.qmp);
  if (running || status === 'inmigrate') {
    throw labError('LAB_VM_FAILED', `the RAM of ${vm.name} cannot be compared while it is ${status}`);
  }
}

function describe(blocks: readonly HostRamBlock[]): string {
  return blocks.map(({ id, sizeBytes }) => `${id}:${sizeBytes}`).join(' ');
}

function openMemory(vm: Vm, flags: 'r' | 'r+'): number {
  return openSync(`/proc/${vm.process.pid}/mem`, flags);
}

function differingPages(
  files: readonly [number, number],
  block: HostRamBlock,
  otherAddress: number,
): number[] {
  const [mine, other] = [Buffer.alloc(CHUNK_BYTES), Buffer.alloc(CHUNK_BYTES)];
  const differing: number[] = [];
  for (let offset = 0; offset < block.sizeBytes; offset += CHUNK_BYTES) {
    const length = Math.min(CHUNK_BYTES, block.sizeBytes - offset);
    readFully(files[0], mine.subarray(0, length), block.hostAddress + offset);
    readFully(files[1], other.subarray(0, length), otherAddress + offset);
    if (mine.compare(other, 0, length, 0, length) === 0) continue;
    for (let page = 0; page < length; page += PAGE_SIZE_BYTES) {
      const end = Math.min(page + PAGE_SIZE_BYTES, length);
      if (mine.compare(other, page, end, page, end) !== 0) differing.push((offset + page) / PAGE_SIZE_BYTES);
    }
  }
  return differing;
}

function readFully(file: number, into: Uint8Array, address: number): void {
  let done = 0;
  while (done < into.length) {
    const read = readSync(file, into, done, into.length - done, address + done);
    assert(read > 0, 'the RAM of a living QEMU can be read');
    done += read;
  }
}
