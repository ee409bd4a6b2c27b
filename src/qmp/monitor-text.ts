/**
 * Facts that QEMU gives only as text for people (`info ramblock`, `info qtree`). Pure.
 * Not responsible for asking. A line that does not fit is skipped; no line at all that fits is null.
 */

export interface RamBlockFacts {
  readonly id: string;
  readonly usedBytes: number;
  /** Larger than used for blocks that grow (ACPI tables). */
  readonly totalBytes: number;
  /** As QEMU prints it: "4 KiB", "2 MiB". */
  readonly pageSize: string;
  /** Where QEMU's process has it mapped; null before 8.1, which does not tell. */
  readonly hostAddress: bigint | null;
}

const RAM_BLOCK_LINE =
  /^\s*(\S.*?)\s+(\d+ [KMGT]?i?B)\s+0x[0-9a-f]+\s+0x([0-9a-f]+)\s+0x([0-9a-f]+)(?:\s+(0x[0-9a-f]+))?(?:\s|$)/;

/** The blocks of `info ramblock`, sorted by id; null when the text is something else. */
export function parseRamBlocks(text: string): readonly RamBlockFacts[] | null {
  if (!/Block Name/.test(text)) return null;
  const blocks: RamBlockFacts[] = [];
  for (const line of text.split(/\r?\n/)) {
    const match = RAM_BLOCK_LINE.exec(line);
    if (match === null) continue;
    const [, id = '', pageSize = '', used = '', total = '', address] = match;
    blocks.push({
      id,
      pageSize,
      usedBytes: parseInt(used, 16),
      totalBytes: parseInt(total, 16),
      hostAddress: address === undefined ? null : BigInt(address),
    });
  }
  return blocks.sort((one, other) => (one.id < other.id ? -1 : 1));
}

/**
 * The devices of `info qtree`, each as the chain of bus types and device types that leads to it, sorted.
 * Neither ids nor bus names take part: QEMU's stream names a device by its place, and a bus name may hold an
 * id.
 */
export function parseDeviceTree(text: string): readonly string[] | null {
  const stack: { indent: number; word: string }[] = [];
  const devices: string[] = [];
  for (const line of text.split(/\r?\n/)) {
    const match = /^( *)(dev|bus|type):? ([^,]+)/.exec(line);
    if (match === null) continue;
    const [, { length: indent } = '', kind = '', word = ''] = match;
    if (kind === 'type') {
      const bus = stack.at(-1);
      if (bus && bus.indent === indent - 2 && bus.word === '') bus.word = word;
      continue;
    }
    while ((stack.at(-1)?.indent ?? -1) >= indent) stack.pop();
    stack.push({ indent, word: kind === 'dev' ? word : '' });
    if (kind === 'dev') devices.push(stack.map(({ word: step }) => step).join('/'));
  }
  return devices.length === 0 && !text.startsWith('bus:') ? null : devices.sort();
}
