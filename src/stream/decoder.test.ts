/** Single rules of the decoder on hand-made bytes. Whole streams: test/golden, test/fuzz. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { StreamDecoder } from './decoder.ts';
import type { DecoderOptions, PassThrough, StreamSink, Tail } from './types.ts';

const hex = (text: string) => Buffer.from(text.replaceAll(/\s/g, ''), 'hex');
const HEADER = hex('5145564d 00000003');
const MACHINE = hex('07 00000002 7063');
/** One block "m" of two pages; section 5, with footers. */
const START = hex(
  '01 00000005 03 72616d 00000000 00000004 0000000000002004 01 6d 0000000000002000 0000000000000010 7e 00000005',
);
const EOS = hex('0000000000000010 7e 00000005');
const PART = hex('02 00000005');
const RAM_END = Buffer.concat([hex('03 00000005'), EOS]);

interface Seen {
  events: string[];
  tail: Tail | null;
  passThrough: PassThrough | null;
  passed: number;
}

function recorder(): Seen & StreamSink {
  const seen: Seen & StreamSink = {
    events: [],
    tail: null,
    passThrough: null,
    passed: 0,
    onHeader: () => seen.events.push('header'),
    onConfiguration: ({ machine }) => seen.events.push(machine),
    onCommand: (command) => seen.events.push(`command ${command}`),
    onRamSetup: () => seen.events.push('setup'),
    onEarlySection: ({ name }) => seen.events.push(name),
    onDirtyBitmaps: (raw) => seen.events.push(`bitmaps ${raw.length}`),
    onPage: (page, buffer, offset) => seen.events.push(`page ${page} ${buffer[offset]}`),
    onZeroPage: (page) => seen.events.push(`zero ${page}`),
    onRamSectionEnd: (kind) => seen.events.push(kind),
    onTail: (tail) => {
      seen.tail = tail;
    },
    onPassThrough: (passThrough) => {
      seen.passThrough = passThrough;
    },
    onPassThroughBytes: (bytes) => {
      seen.passed += bytes.length;
    },
  };
  return seen;
}

function decode(parts: readonly Uint8Array[], options: DecoderOptions = { capabilities: new Set() }) {
  const seen = recorder();
  const decoder = new StreamDecoder(options, seen);
  decoder.write(Buffer.concat(parts));
  return { ...seen, decoder, end: decoder.end() };
}

function refuses(
  parts: readonly Uint8Array[],
  code: string,
  section: number,
  options?: DecoderOptions,
): void {
  assert.throws(
    () => decode(parts, options),
    (error: { code: string; fields: { section: number } }) =>
      error.code === code && error.fields.section === section,
  );
}

const SETUP = [HEADER, MACHINE, START];

test('section 2: magic and version', () => {
  refuses([hex('5145564e 00000003')], 'STREAM_MAGIC', 2);
  refuses([hex('5145564d 00000004')], 'STREAM_VERSION', 2);
  assert.equal(decode([hex('160301')]).passThrough?.reason, 'tls');
  assert.equal(decode([hex('11223344 00')]).passThrough?.reason, 'multifd');
});

test('section 3: the configuration waits for the byte behind it, and unknown subsections are not guessed', () => {
  assert.deepEqual(decode([HEADER, MACHINE]).events, ['header']);
  assert.deepEqual(decode([HEADER, MACHINE, hex('01')]).events, ['header', 'pc']);
  refuses([HEADER, hex('07 00000100')], 'STREAM_CONFIGURATION', 3);
  const unknown = decode([HEADER, MACHINE, hex('05 01 78 00000001 00')]).passThrough;
  assert.deepEqual([unknown?.reason, unknown?.detail, unknown?.streamOffset], ['configuration', 'x', 8]);
  const bits = Buffer.concat([
    hex('05 1e'),
    Buffer.from('configuration/target-page-bits'),
    hex('00000001 0000000e'),
  ]);
  assert.equal(decode([HEADER, MACHINE, bits]).passThrough?.reason, 'page-size');
});

const bitmaps = (kind: string, chunks: string) =>
  Buffer.concat([
    hex(`${kind} 00000003`),
    ...(kind === '01' ? [BITMAPS_NAME] : []),
    hex(`${chunks} 7e 00000003`),
  ]);
const BITMAPS_NAME = Buffer.concat([hex('0c'), Buffer.from('dirty-bitmap'), hex('00000000 00000001')]);

test('section 5: dirty bitmaps are handed on section by section, whole, before, between and after pages', () => {
  // Two bitmaps of one node are announced; bits follow with and without a buffer; then both are complete.
  const start = bitmaps('01', '1c 01 6e 01 62 00010000 01 14 01 63 00010000 00 01');
  const bits = bitmaps(
    '02',
    '4c 01 6e 01 62 0000000000000000 00000080 0000000000000002 ffff 42 0000000000000000 00000080 01',
  );
  const end = bitmaps('03', '20 24 01 63 01');
  const parts = [HEADER, MACHINE, start, START, bits, PART, EOS, bits, end, RAM_END];
  const sizes = [start, bits, bits, end].map(({ length }) => `bitmaps ${length}`);
  const { events, passThrough } = decode(parts);
  assert.equal(passThrough, null);
  assert.deepEqual(
    events.filter((one) => one.startsWith('bitmaps')),
    sizes,
  );
  assert.deepEqual(events.slice(-2), [`bitmaps ${end.length}`, 'end']);
  const whole = Buffer.concat(parts);
  const seen = recorder();
  const decoder = new StreamDecoder({ capabilities: new Set() }, seen);
  for (const byte of whole) decoder.write(Uint8Array.of(byte));
  assert.deepEqual(seen.events, events, 'byte by byte');
});

test('section 5: bitmaps may end after RAM, as QEMU registers them', () => {
  const end = bitmaps('03', '01');
  const parts = [HEADER, MACHINE, bitmaps('01', '01'), START, RAM_END, end, ...tail('aabb')];
  const { events, tail: found } = decode(parts);
  assert.equal(events.at(-1), `bitmaps ${end.length}`);
  assert.equal(found?.sections?.length, 1);
  const seen = recorder();
  const decoder = new StreamDecoder({ capabilities: new Set() }, seen);
  for (const byte of Buffer.concat(parts)) decoder.write(Uint8Array.of(byte));
  assert.deepEqual(seen.events, events, 'byte by byte');
  assert.equal(seen.tail?.sections?.length, 1, 'the end is seen while the input is open');
});

test('section 5: bitmaps of another version, with more flags or without a start are not guessed', () => {
  const version = Buffer.concat([
    hex('01 00000003 0c'),
    Buffer.from('dirty-bitmap'),
    hex('00000000 00000002'),
  ]);
  assert.equal(decode([HEADER, MACHINE, version]).passThrough?.reason, 'iterable');
  assert.equal(decode([HEADER, MACHINE, bitmaps('01', '81 00 01')]).passThrough?.reason, 'iterable');
  refuses([...SETUP, bitmaps('02', '01')], 'STREAM_SECTION', 6);
});

test('section 4: announcements pass, everything that changes the stream ends decoding at its first byte', () => {
  const { events } = decode([HEADER, hex('08 0001 0000 08 0002 0004 00000007 08 000b 0000')]);
  assert.deepEqual(events, ['header', 'command 1', 'command 2', 'command 11']);
  for (const [command, reason] of [
    [4, 'postcopy'],
    [6, 'postcopy'],
    [7, 'postcopy'],
    [8, 'colo'],
    [12, 'command'],
  ] as const) {
    const { passThrough, passed } = decode([HEADER, Uint8Array.of(8, 0, command, 0, 1, 0xff)]);
    assert.deepEqual([passThrough?.reason, passThrough?.streamOffset, passed], [reason, 8, 6]);
  }
});

test('section 5: block lists that do not add up are refused', () => {
  const list = (text: string) => [HEADER, hex('01 00000005 03 72616d 00000000 00000004'), hex(text)];
  refuses(list('0000000000002004 01 6d 0000000000003000'), 'STREAM_RAM_SETUP', 5);
  refuses(list('0000000000002004 01 6d 0000000000001001'), 'STREAM_RAM_SETUP', 5);
  refuses(list('0000000000002004 00 0000000000002000'), 'STREAM_RAM_SETUP', 5);
  const twice = '01 6d 0000000000001000';
  refuses(list(`0000000000002004 ${twice} ${twice} 0000000000000010 7e`), 'STREAM_RAM_SETUP', 5);
  refuses(list('fffffffffffff004 01 6d fffffffffffff000 0000000000000010'), 'STREAM_RAM_SETUP', 5);
  refuses([...SETUP, START], 'STREAM_SECTION', 5);
  assert.equal(decode(list('0000000000002008')).passThrough?.reason, 'mem-size');
  const limits = { capabilities: new Set<string>(), limits: { ramBlocks: 1 } };
  refuses(list(`0000000000002004 ${twice} 01 6e 0000000000001000`), 'STREAM_LIMIT', 11, limits);
});

test('section 5: another iterating section is passed through during setup', () => {
  const vfio = hex('01 00000009 04 76666966 00000000 00000001');
  assert.equal(decode([...SETUP, vfio, hex('00')]).passThrough?.reason, 'iterable');
  const early = hex('04 00000009 02 6464 00000000 00000001');
  assert.equal(decode([...SETUP, early]).passThrough?.reason, 'early-section');
});

test('section 6: pages, zero pages, fills, and the block that carries over', () => {
  const page = (value: number) => Buffer.alloc(4096, value);
  const { events, decoder } = decode([
    ...SETUP,
    ...[PART, hex('0000000000001008 01 6d'), page(3), hex('0000000000000022 00'), EOS],
    ...[PART, hex('0000000000000028'), page(4), hex('0000000000001022 05 0000000000000200'), EOS],
  ]);
  assert.deepEqual(events.slice(3), ['start', 'page 1 3', 'zero 0', 'part', 'page 0 4', 'page 1 5', 'part']);
  const { pages, zeroPages, multifdFlushes, ramSections, phase } = decoder.facts;
  assert.deepEqual([pages, zeroPages, multifdFlushes, ramSections, phase], [3, 1, 1, 3, 'sections']);
});

test('section 6: records that are none', () => {
  const record = (text: string) => [...SETUP, PART, hex(text)];
  refuses(record('0000000000000022 00'), 'STREAM_RAM_RECORD', 6);
  refuses(record('0000000000002002 01 6d 00'), 'STREAM_RAM_RECORD', 6);
  refuses(record('ffffffffffffff02 01 6d 00'), 'STREAM_RAM_RECORD', 6);
  refuses(record('8000000000000002 01 6d 00'), 'STREAM_RAM_RECORD', 6);
  refuses(record('0000000000000002 01 78 00'), 'STREAM_RAM_RECORD', 6);
  refuses(record('000000000000000a'), 'STREAM_RAM_RECORD', 6);
  refuses(record('0000000000000000'), 'STREAM_RAM_RECORD', 6);
  refuses([...SETUP, hex('02 00000006')], 'STREAM_SECTION', 6);
  refuses([...SETUP, hex('55')], 'STREAM_SECTION', 1);
  refuses([HEADER, PART], 'STREAM_SECTION', 6);
});

test('section 9: what is passed through in a RAM section says where the loader stands', () => {
  const { passThrough, passed } = decode([
    ...SETUP,
    PART,
    hex('0000000000000002 01 6d 00 0000000000000060 ff'),
  ]);
  assert.equal(passThrough?.reason, 'xbzrle');
  assert.equal(passThrough?.openRamSection, 'part');
  assert.equal(passThrough?.lastBlock, 0);
  assert.equal(passed, 9);
});

test('section 7: a footer must be there and be the right one, from the first section on', () => {
  refuses([...SETUP, PART, hex('0000000000000010 7e 00000006')], 'STREAM_FOOTER', 7);
  refuses([...SETUP, PART, hex('0000000000000010 02 00000005')], 'STREAM_FOOTER', 7);
});

/** A tail with one device "d" whose state is `state`. */
function tail(state: string, described = [{ name: 'd', instance_id: 0 }]): Buffer[] {
  const text = Buffer.from(JSON.stringify({ devices: described }));
  const device = Buffer.concat([hex('04 00000009 01 64 00000000 00000001'), hex(state), hex('7e 00000009')]);
  const length = Buffer.alloc(4);
  length.writeUInt32BE(text.length);
  return [device, hex('00 06'), length, text];
}

test('section 8: devices and end are told apart, and bytes behind the end refused', () => {
  const whole = decode([...SETUP, RAM_END, ...tail('aabb')]);
  assert.deepEqual(whole.end, { complete: true, reason: null });
  assert.equal(whole.tail?.devices.length, 15 + 2 + 5);
  assert.equal(whole.tail?.end[0], 0);
  assert.deepEqual(whole.tail?.sections, [
    { sectionId: 9, name: 'd', instance: 0, version: 1, sizeBytes: 22 },
  ]);
  refuses([...SETUP, RAM_END, ...tail('aabb'), hex('00')], 'STREAM_AFTER_END', 8);
  const open = decode([...SETUP, RAM_END, ...tail('aabb')]);
  assert.throws(() => open.decoder.write(hex('00')), { code: 'STREAM_AFTER_END' });
});

test('section 8: device state that imitates an end of stream is not taken for one', () => {
  const imitation = Buffer.concat([hex('7e 00000009 00 06 0000000e'), Buffer.from('{"devices":[]}')]);
  const parts = [...SETUP, RAM_END, ...tail(imitation.toString('hex'))];
  const found = decode(parts);
  assert.equal(found.tail?.sections?.length, 1);
  assert.equal(found.tail?.devices.length, 15 + imitation.length + 5);
});

test('section 8: an end that the sections do not prove waits for the end of the input', () => {
  const other = decode([...SETUP, RAM_END, ...tail('aabb', [{ name: 'other', instance_id: 0 }])]);
  assert.equal(other.tail, null, 'nothing was reported while the input was open');
  assert.equal(other.end.complete, true);
  const imitation = Buffer.concat([hex('7e 00000009 00 06 0000000e'), Buffer.from('{"devices":[]}')]);
  const device = tail(imitation.toString('hex'))[0]!;
  const seen = recorder();
  const decoder = new StreamDecoder({ capabilities: 'unknown' }, seen);
  decoder.write(Buffer.concat([...SETUP, RAM_END, device.subarray(0, 15 + imitation.length)]));
  assert.equal(decoder.facts.phase, 'tail');
  decoder.write(
    Buffer.concat([device.subarray(15 + imitation.length), ...tail(imitation.toString('hex')).slice(1)]),
  );
  assert.equal(seen.tail?.sections?.length, 1);
});

test('section 8: without a description only a footer tells, and only when the input has ended', () => {
  const device = tail('aabb')[0]!;
  assert.equal(decode([...SETUP, RAM_END, device, hex('00')]).end.complete, true);
  assert.equal(decode([...SETUP, RAM_END, device]).end.complete, false);
  assert.equal(
    decode([...SETUP, RAM_END, hex('04 00000009 01 64 00000000 00000001 7e 00000008 00')]).end.complete,
    false,
  );
});

test('section 11: device state and setup have caps', () => {
  const limits = { capabilities: new Set<string>(), limits: { tailBytes: 100, setupBytes: 64 } };
  refuses([...SETUP, RAM_END, Buffer.alloc(101)], 'STREAM_LIMIT', 11, limits);
  const capabilities = Buffer.concat([
    hex('05 1a'),
    Buffer.from('configuration/capabilities'),
    hex('00000001 00000040'),
  ]);
  refuses([HEADER, MACHINE, capabilities, Buffer.alloc(60, 1)], 'STREAM_LIMIT', 11, limits);
});

test('a decoder that failed is not used again', () => {
  const decoder = new StreamDecoder({ capabilities: 'unknown' }, recorder());
  assert.throws(() => decoder.write(hex('00000000')), { code: 'STREAM_MAGIC' });
  assert.throws(() => decoder.write(HEADER), { code: 'ASSERTION' });
});
