/**
 * A second, naive decoder of QEMU's migration stream: the whole stream in one buffer, one pass, BigInt and
 * strings as it pleases. It shares nothing with src/stream, so that each checks the other. Not responsible
 * for speed or for damage: it throws a plain Error where the stream breaks the format.
 */

import { crc32 } from 'node:zlib';

/** One line a record, in the same words as recorder.ts. */
export interface NaiveResult {
  readonly events: string[];
  readonly complete: boolean | null;
}

interface Block {
  id: string;
  pages: bigint;
  first: bigint;
}

class Reader {
  readonly bytes: Buffer;
  at = 0;
  constructor(bytes: Buffer) {
    this.bytes = bytes;
  }
  take(size: number): Buffer {
    if (this.at + size > this.bytes.length) throw new Error(`ends at ${this.bytes.length}`);
    this.at += size;
    return this.bytes.subarray(this.at - size, this.at);
  }
  u8 = () => this.take(1).readUInt8();
  be16 = () => this.take(2).readUInt16BE();
  be32 = () => this.take(4).readUInt32BE();
  be64 = () => this.take(8).readBigUInt64BE();
  text = (size: number) => this.take(size).toString('latin1');
  get next(): number | undefined {
    return this.bytes[this.at];
  }
}

export function decodeNaively(bytes: Buffer): NaiveResult {
  const events: string[] = [];
  try {
    return { events, complete: decode(new Reader(bytes), events) };
  } catch (error) {
    events.push(`stops: ${(error as Error).message}`);
    return { events, complete: false };
  }
}

function decode(input: Reader, events: string[]): boolean | null {
  if (input.text(4) !== 'QEVM' || input.be32() !== 3) throw new Error('not a stream');
  events.push('header');
  if (input.next === 7) events.push(configuration(input));
  let ram: { id: number; blocks: Block[]; footers: boolean } | null = null;
  const last: { block: Block | null } = { block: null };
  for (let early = 0; ; ) {
    const begin = input.at;
    const tag = input.u8();
    if (tag === 8) {
      const command = input.be16();
      const size = input.be16();
      if (![1, 2, 3, 11].includes(command)) return passThrough(input, events, begin, 'postcopy');
      events.push(`command ${command} ${input.take(size).toString('hex')}`);
    } else if (tag === 1 || tag === 4) {
      const id = input.be32();
      const name = input.text(input.u8());
      input.take(8);
      if (tag === 4) {
        earlyFields(input);
        footer(input, id, input.next === 0x7e);
        early++;
        events.push(`early ${name}`);
        continue;
      }
      if (name !== 'ram') return passThrough(input, events, begin, 'iterable');
      const blocks = blockList(input);
      const footers = input.next === 0x7e;
      footer(input, id, footers);
      ram = { id, blocks, footers };
      events.push(
        `ram ${id} ${footers} ${blocks.map((block) => `${block.id}=${block.pages}`).join(' ')}`,
        'start',
      );
    } else if (tag === 2 || tag === 3) {
      if (ram === null || input.be32() !== ram.id) throw new Error('unknown section');
      const unreadable = records(input, ram.blocks, last, events);
      if (unreadable !== null) return passThrough(input, events, unreadable.at, unreadable.reason);
      footer(input, ram.id, ram.footers);
      events.push(tag === 2 ? 'part' : 'end');
      if (tag === 3) return tail(input, ram.footers, early, events);
    } else {
      throw new Error(`tag ${tag}`);
    }
  }
}

function configuration(input: Reader): string {
  input.u8();
  const machine = input.text(input.be32());
  const facts: string[] = [];
  while (input.next === 5) {
    input.u8();
    const name = input.text(input.u8());
    input.be32();
    if (name.endsWith('/target-page-bits')) facts.push(`bits ${input.be32()}`);
    else if (name.endsWith('/uuid')) facts.push(`uuid ${input.take(16).toString('hex')}`);
    else {
      const count = input.be32();
      facts.push(Array.from({ length: count }, () => input.text(input.u8())).join('+'));
    }
  }
  return ['configuration', machine, ...facts].join(' ');
}

function earlyFields(input: Reader): void {
  input.be64();
  const region = input.be64();
  const block = input.be64();
  input.take(4 + 8);
  const blocks = (region + block - 1n) / block;
  input.take(Number((blocks + 63n) / 64n) * 8);
}

function blockList(input: Reader): Block[] {
  const total = input.be64();
  if ((total & 0xfffn) !== 4n) throw new Error('no block list');
  const blocks: Block[] = [];
  let first = 0n;
  for (let left = total - 4n; left > 0n; ) {
    const id = input.text(input.u8());
    const size = input.be64();
    left -= size;
    blocks.push({ id, pages: size / 4096n, first });
    first += size / 4096n;
    if (left > 0n ? input.next === 0 : (input.bytes.readUInt16BE(input.at + 6) & 0xfff) === 0) input.be64();
  }
  let record = input.be64();
  if (record === 0x200n) record = input.be64();
  if (record !== 0x10n) throw new Error('no EOS');
  return blocks;
}

function records(
  input: Reader,
  blocks: Block[],
  last: { block: Block | null },
  events: string[],
): { at: number; reason: string } | null {
  for (;;) {
    const at = input.at;
    const record = input.be64();
    const flags = Number(record & 0xfffn);
    if (flags === 0x10) return null;
    if (flags === 0x200) continue;
    if ((flags & ~0x20) === 0x40) return { at, reason: 'xbzrle' };
    if ((flags & ~0x20) === 0x80) return { at, reason: 'rdma' };
    if ((flags & ~0x20) === 0x100) return { at, reason: 'compress' };
    if ((flags & ~0x20) === 0x400) return { at, reason: 'ram-record' };
    if (![0x02, 0x08, 0x22, 0x28].includes(flags)) throw new Error(`flags ${flags}`);
    if ((flags & 0x20) === 0) {
      const id = input.text(input.u8());
      last.block = blocks.find((block) => block.id === id) ?? null;
    }
    const page = record >> 12n;
    if (last.block === null || page >= last.block.pages) throw new Error('no such page');
    const index = last.block.first + page;
    if (flags & 0x08) events.push(`page ${index} ${crc32(input.take(4096))}`);
    else {
      const fill = input.u8();
      events.push(fill === 0 ? `zero ${index}` : `page ${index} ${crc32(Buffer.alloc(4096, fill))}`);
    }
  }
}

function footer(input: Reader, id: number, expected: boolean): void {
  if (expected && (input.u8() !== 0x7e || input.be32() !== id)) throw new Error('no footer');
}

/**
 * Every position is tried as the end; the one from which a description runs exactly to the last byte is it.
 */
function tail(input: Reader, footers: boolean, early: number, events: string[]): boolean | null {
  const rest = input.bytes.subarray(input.at);
  for (let at = 0; at + 7 < rest.length; at++) {
    if (rest[at] !== 0 || rest[at + 1] !== 6 || rest.readUInt32BE(at + 2) !== rest.length - at - 6) continue;
    try {
      const { devices } = JSON.parse(rest.toString('latin1', at + 6)) as { devices: unknown[] };
      events.push(`tail ${at} ${rest.length - at} ${devices.length - early}`);
      return true;
    } catch {
      // Not a description after all: the next position may be one.
    }
  }
  if (rest.at(-1) !== 0) return false;
  return footers ? rest.at(-6) === 0x7e : null;
}

function passThrough(input: Reader, events: string[], at: number, reason: string): null {
  events.push(`pass-through ${reason} ${at}`, `bytes ${crc32(input.bytes.subarray(at))}`);
  return null;
}
