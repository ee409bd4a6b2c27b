/**
 * HELLO, WELCOME, ACK, PING and ERROR payloads (docs/format/link.md, 3 and 4). Not responsible
 * for judging them: session.ts.
 */

import { Reader, Writer } from './bytes.ts';
import { linkError } from './errors.ts';
import { CAPABILITIES_MAX, ERROR_MESSAGE_BYTES_MAX } from './limits.ts';

export type LinkRole = 'source' | 'destination';

export const MIGRATION_ID_BYTES = 16;

export interface ProtocolVersion {
  readonly major: number;
  readonly minor: number;
}

export interface Capabilities {
  readonly role: LinkRole;
  /** Bit 0: batch format 1. */
  readonly codecMask: number;
  readonly pageSizeBytes: number;
}

export interface Hello {
  readonly version: ProtocolVersion;
  readonly migrationId: Uint8Array;
  readonly lane: number;
  readonly laneCount: number;
  readonly epoch: number;
  /** Last sequence that arrived in order. */
  readonly received: number;
  readonly creditBytes: number;
  readonly capabilities: Capabilities;
}

const CAPABILITY = { ROLE: 1, CODECS: 2, PAGE_SIZE: 3 } as const;

function u32Bytes(value: number): Uint8Array {
  return new Writer().u32(value).done();
}

export function encodeHello(hello: Hello): Uint8Array {
  const { role, codecMask, pageSizeBytes } = hello.capabilities;
  const capabilities: [number, Uint8Array][] = [
    [CAPABILITY.ROLE, Uint8Array.of(role === 'source' ? 0 : 1)],
    [CAPABILITY.CODECS, u32Bytes(codecMask)],
    [CAPABILITY.PAGE_SIZE, u32Bytes(pageSizeBytes)],
  ];
  const writer = new Writer()
    .u16(hello.version.major)
    .u16(hello.version.minor)
    .bytes(hello.migrationId)
    .u16(hello.lane)
    .u16(hello.laneCount)
    .u32(hello.epoch)
    .u64(hello.received)
    .u64(hello.creditBytes)
    .u16(capabilities.length);
  for (const [id, bytes] of capabilities) writer.u16(id).u16(bytes.length).bytes(bytes);
  return writer.done();
}

/**
 * Reads HELLO or WELCOME. The version is checked here, before anything that a later version may lay out
 * differently. Errors: LINK_VERSION, LINK_MESSAGE.
 */
export function decodeHello(payload: Uint8Array, own: ProtocolVersion): Hello {
  const reader = new Reader(payload, 'HELLO');
  const version = { major: reader.u16(), minor: reader.u16() };
  checkVersion(own, version);
  const migrationId = Uint8Array.from(reader.bytes(MIGRATION_ID_BYTES));
  const lane = reader.u16();
  const laneCount = reader.u16();
  const epoch = reader.u32();
  const received = reader.u64();
  const creditBytes = reader.u64();
  const capabilities = decodeCapabilities(reader);
  reader.end();
  return { version, migrationId, lane, laneCount, epoch, received, creditBytes, capabilities };
}

function decodeCapabilities(reader: Reader): Capabilities {
  const count = reader.u16();
  if (count > CAPABILITIES_MAX) reader.refuse(`${count} capabilities`);
  const seen = new Map<number, Uint8Array>();
  for (let index = 0; index < count; index++) {
    const id = reader.u16();
    if (seen.has(id)) reader.refuse(`capability ${id} twice`);
    seen.set(id, reader.bytes(reader.u16()));
  }
  const value = (id: number): Reader => {
    const bytes = seen.get(id);
    if (bytes === undefined) reader.refuse(`lacks capability ${id}`);
    return new Reader(bytes, 'HELLO');
  };
  const exactly = (id: number, sizeBytes: 1 | 4): number => {
    const part = value(id);
    const number = sizeBytes === 1 ? part.u8() : part.u32();
    part.end();
    return number;
  };
  const role = exactly(CAPABILITY.ROLE, 1);
  if (role > 1) reader.refuse(`role ${role}`);
  return {
    role: role === 0 ? 'source' : 'destination',
    codecMask: exactly(CAPABILITY.CODECS, 4),
    pageSizeBytes: exactly(CAPABILITY.PAGE_SIZE, 4),
  };
}

/** Same major, minors at most one apart: the newer side still speaks the older one's minor. */
function checkVersion(own: ProtocolVersion, other: ProtocolVersion): void {
  if (own.major === other.major && Math.abs(own.minor - other.minor) <= 1) return;
  const ownText = `${own.major}.${own.minor}`;
  const otherText = `${other.major}.${other.minor}`;
  throw linkError('LINK_VERSION', `link protocol ${ownText} here, ${otherText} at the other end`, {
    hint: 'install the same godwit release on both hosts',
    fields: { own: ownText, other: otherText },
  });
}

export interface Acknowledgement {
  readonly received: number;
  readonly creditBytes: number;
}

export function encodeAck(ack: Acknowledgement): Uint8Array {
  return new Writer().u64(ack.received).u64(ack.creditBytes).done();
}

export function decodeAck(payload: Uint8Array): Acknowledgement {
  const reader = new Reader(payload, 'ACK');
  const ack = { received: reader.u64(), creditBytes: reader.u64() };
  reader.end();
  return ack;
}

export function encodeToken(token: number): Uint8Array {
  return new Writer().u64(token).done();
}

export function decodeToken(payload: Uint8Array): number {
  const reader = new Reader(payload, 'PING');
  const token = reader.u64();
  reader.end();
  return token;
}

export interface Refusal {
  readonly code: string;
  readonly text: string;
}

export function encodeRefusal(refusal: Refusal): Uint8Array {
  const code = Buffer.from(/^[A-Z0-9_]{1,64}$/.test(refusal.code) ? refusal.code : 'INTERNAL', 'latin1');
  // Cut at a whole character: a torn one would make the message unreadable at the other end.
  let text = Buffer.from(refusal.text.toWellFormed());
  if (text.length > ERROR_MESSAGE_BYTES_MAX) {
    let end = ERROR_MESSAGE_BYTES_MAX;
    while (end > 0 && (text[end]! & 0xc0) === 0x80) end--;
    text = text.subarray(0, end);
  }
  return new Writer().u8(code.length).bytes(code).u16(text.length).bytes(text).done();
}

export function decodeRefusal(payload: Uint8Array): Refusal {
  const reader = new Reader(payload, 'ERROR');
  const code = reader.utf8(reader.u8());
  if (!/^[A-Z0-9_]{1,64}$/.test(code)) reader.refuse('a code that is no code');
  const length = reader.u16();
  if (length > ERROR_MESSAGE_BYTES_MAX) reader.refuse(`a message of ${length} bytes`);
  const text = reader.utf8(length);
  reader.end();
  return { code, text };
}
