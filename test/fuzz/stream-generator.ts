/**
 * Makes small legal migration streams by seed, with everything the format allows, and damages them.
 * Written from docs/format/qemu-stream.md alone, without the encoder. Not responsible for judging what a
 * decoder makes of them.
 */

import { Prng } from '../../src/base/index.ts';

const PAGE = 4096;

export interface GeneratedStream {
  readonly bytes: Buffer;
  /** A description was written, so that a cut shows everywhere. */
  readonly described: boolean;
  readonly readable: boolean;
}

const u8 = (value: number) => Buffer.from([value]);
const be16 = (value: number) => Buffer.from([value >>> 8, value]);
const be32 = (value: number) => {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value >>> 0);
  return bytes;
};
const be64 = (value: number | bigint) => {
  const bytes = Buffer.alloc(8);
  bytes.writeBigUInt64BE(BigInt(value));
  return bytes;
};
const str8 = (text: string) => Buffer.concat([u8(text.length), Buffer.from(text, 'latin1')]);

interface Shape {
  readonly prng: Prng;
  readonly footers: boolean;
  readonly blocks: { id: string; pages: number }[];
  last: number;
}

const chance = (prng: Prng, share: number) => prng.unit() < share;

export function generateStream(seed: number): GeneratedStream {
  const prng = new Prng(seed);
  const footers = chance(prng, 0.8);
  const names = ['pc.ram', '/rom@etc/acpi/tables', 'vga.vram', 'm\u00e9moire', 'x'.repeat(255)];
  const blocks = names.slice(0, 1 + prng.below(names.length)).map((id) => ({ id, pages: 1 + prng.below(6) }));
  const shape: Shape = { prng, footers, blocks, last: -1 };
  const parts: Buffer[] = [Buffer.from('QEVM'), be32(3), ...configuration(prng), ...commands(prng)];
  const early: string[] = [];
  if (chance(prng, 0.2)) parts.push(...earlySection(shape, early));
  parts.push(...ramStart(shape));
  if (chance(prng, 0.2)) parts.push(...earlySection(shape, early));
  for (let count = prng.below(4); count > 0; count--) {
    parts.push(...ramSection(shape, 2));
    if (chance(prng, 0.1)) parts.push(...commands(prng));
  }
  const readable = chance(prng, 0.9);
  if (!readable)
    return { bytes: Buffer.concat([...parts, ...unreadable(shape)]), described: false, readable };
  parts.push(...ramSection(shape, 3));
  const described = chance(prng, 0.85);
  parts.push(...tail(shape, described, early));
  return { bytes: Buffer.concat(parts), described, readable };
}

function configuration(prng: Prng): Buffer[] {
  if (chance(prng, 0.2)) return [];
  const machine = Buffer.from(`pc-q35-${prng.below(12)}.${prng.below(3)}`);
  const parts: Buffer[] = [u8(7), be32(machine.length), machine];
  const subsection = (name: string, ...fields: Buffer[]) =>
    parts.push(u8(5), str8(`configuration/${name}`), be32(1), ...fields);
  if (chance(prng, 0.3)) subsection('target-page-bits', be32(12));
  if (chance(prng, 0.3)) subsection('capabilities', be32(2), str8('x-ignore-shared'), str8('other'));
  if (chance(prng, 0.3)) subsection('uuid', random(prng, 16));
  return parts;
}

function commands(prng: Prng): Buffer[] {
  const command = (number: number, payload: Buffer) => [u8(8), be16(number), be16(payload.length), payload];
  const parts: Buffer[] = [];
  if (chance(prng, 0.6)) parts.push(...command(1, Buffer.alloc(0)), ...command(2, be32(prng.u32())));
  if (chance(prng, 0.2)) parts.push(...command(3, Buffer.concat([be64(PAGE), be64(PAGE)])));
  if (chance(prng, 0.3)) parts.push(...command(11, Buffer.alloc(0)));
  return parts;
}

function footer(shape: Shape, id: number): Buffer[] {
  return shape.footers ? [u8(0x7e), be32(id)] : [];
}

function earlySection(shape: Shape, names: string[]): Buffer[] {
  const { prng } = shape;
  const blockCount = 1 + prng.below(130);
  const name = `0000:00:0${names.length}.0/virtio-mem-device-early`;
  const id = 40 + names.length;
  names.push(name);
  const bitmap = random(prng, Math.ceil(blockCount / 64) * 8);
  const fields = [be64(0x1_0000_0000), be64(blockCount * 2_097_152), be64(2_097_152), be32(0), be64(0)];
  return [u8(4), be32(id), str8(name), be32(0), be32(1), ...fields, bitmap, ...footer(shape, id)];
}

function ramStart(shape: Shape): Buffer[] {
  const { prng, blocks } = shape;
  const total = blocks.reduce((sum, { pages }) => sum + pages * PAGE, 0);
  const parts: Buffer[] = [u8(1), be32(2), str8('ram'), be32(0), be32(4), be64(total + 4)];
  const addresses = chance(prng, 0.2);
  for (const { id, pages } of blocks) {
    parts.push(str8(id), be64(pages * PAGE));
    if (addresses) parts.push(be64(prng.below(1000) * PAGE));
    else if (chance(prng, 0.05)) parts.push(be64(2_097_152));
  }
  if (chance(prng, 0.2)) parts.push(be64(0x200));
  return [...parts, be64(0x10), ...footer(shape, 2)];
}

function ramSection(shape: Shape, tag: number): Buffer[] {
  const parts: Buffer[] = [u8(tag), be32(2)];
  for (let count = shape.prng.below(9); count > 0; count--) {
    parts.push(chance(shape.prng, 0.1) ? be64(0x200) : record(shape));
  }
  return [...parts, be64(0x10), ...footer(shape, 2)];
}

function record(shape: Shape): Buffer {
  const { prng, blocks } = shape;
  const same = shape.last >= 0 && chance(prng, 0.7);
  const index = same ? shape.last : prng.below(blocks.length);
  shape.last = index;
  const block = blocks[index]!;
  const zero = chance(prng, 0.5);
  const head = be64(prng.below(block.pages) * PAGE + (zero ? 2 : 8) + (same ? 0x20 : 0));
  const fill = chance(prng, 0.1) ? prng.below(256) : 0;
  return Buffer.concat([head, ...(same ? [] : [str8(block.id)]), zero ? u8(fill) : content(prng)]);
}

/** Mostly small values: bytes that look like tags, lengths and footers. */
function content(prng: Prng): Buffer {
  return chance(prng, 0.5)
    ? random(prng, PAGE)
    : Buffer.alloc(PAGE, Buffer.from([0, 6, 0x7e, 4, prng.below(256)]));
}

function unreadable(shape: Shape): Buffer[] {
  const { prng } = shape;
  const rest = random(prng, prng.below(6000));
  switch (prng.below(3)) {
    case 0:
      return [u8(8), be16(4 + prng.below(3)), be16(3), rest];
    case 1:
      return [u8(1), be32(9), str8('0000:00:05.0/vfio'), be32(0), be32(1), rest];
    default:
      return [u8(2), be32(2), be64([0x60, 0x120, 0x80, 0x400][prng.below(4)]!), rest];
  }
}

function tail(shape: Shape, described: boolean, early: readonly string[]): Buffer[] {
  const { prng } = shape;
  const parts: Buffer[] = [];
  const devices = early.map((name) => ({ name, instance_id: 0 }));
  for (let id = 3 + prng.below(3), count = 1 + prng.below(4); count > 0; count--, id++) {
    const name = `device${prng.below(3)}`;
    devices.push({ name, instance_id: id });
    parts.push(u8(4), be32(id), str8(name), be32(id), be32(1), deviceState(prng), ...footer(shape, id));
  }
  const text = Buffer.from(JSON.stringify({ page_size: PAGE, devices }));
  return [...parts, u8(0), ...(described ? [u8(6), be32(text.length), text] : [])];
}

/** Random bytes with traps in them: ends of stream that are none, headers and footers. */
function deviceState(prng: Prng): Buffer {
  const traps = [
    random(prng, prng.below(40)),
    Buffer.concat([u8(0), u8(6), be32(2), Buffer.from('{}')]),
    Buffer.concat([u8(0x7e), be32(3), u8(0), u8(6), be32(prng.below(100)), Buffer.from('{"devices":[]}')]),
    Buffer.concat([u8(4), be32(4), str8('device1'), be32(4), be32(1)]),
    Buffer.alloc(prng.below(100)),
  ];
  return Buffer.concat(traps.filter(() => chance(prng, 0.4)));
}

export function random(prng: Prng, sizeBytes: number): Buffer {
  const bytes = Buffer.alloc(sizeBytes);
  for (let at = 0; at < sizeBytes; at++) bytes[at] = prng.u32();
  return bytes;
}

/** Flips, overwrites, removes, repeats or cuts. */
export function damage(bytes: Buffer, prng: Prng): Buffer {
  const damaged = Buffer.from(bytes);
  const at = prng.below(damaged.length);
  switch (prng.below(6)) {
    case 0:
      damaged[at]! ^= 1 << prng.below(8);
      return damaged;
    case 1:
      return damaged.fill(
        [0x00, 0x7f, 0x80, 0xff][prng.below(4)]!,
        at,
        Math.min(damaged.length, at + 1 + prng.below(8)),
      );
    case 2:
      return Buffer.concat([damaged.subarray(0, at), damaged.subarray(at + 1 + prng.below(16))]);
    case 3:
      return Buffer.concat([damaged.subarray(0, at), random(prng, 1 + prng.below(16)), damaged.subarray(at)]);
    case 4:
      return damaged.subarray(0, at);
    default: {
      const from = prng.below(damaged.length);
      return Buffer.concat([
        damaged.subarray(0, at),
        damaged.subarray(from, from + prng.below(5000)),
        damaged.subarray(at),
      ]);
    }
  }
}
