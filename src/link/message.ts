/**
 * What the gateways say to each other in lane frames (docs/format/link.md, 5). Not responsible
 * for page batches: src/pages/codec.
 */

import { assert } from '../base/index.ts';
import { Reader, Writer } from './bytes.ts';
import { linkError } from './errors.ts';
import { FRAME } from './frame.ts';
import { decodeRefusal, encodeRefusal, type LinkRole } from './hello.ts';
import { BLOCKS_MAX, CONTROL_BYTES_MAX, PAYLOAD_BYTES_MAX } from './limits.ts';

export type Message =
  | {
      readonly kind: 'layout';
      readonly blocks: readonly { readonly id: string; readonly sizeBytes: number }[];
    }
  | { readonly kind: 'prologue' | 'tail'; readonly last: boolean; readonly bytes: Uint8Array }
  | {
      readonly kind: 'pages';
      /** What arrives is valid until its handler is done: the memory is used again. */
      readonly batch: Uint8Array;
      /**
       * CRC-32 of `batch`. What arrives has it, checked; what is sent may have it, where a worker made it.
       */
      readonly checksum?: number;
      /** The other end has it: `batch` will not be read again. Not called when the link ends before. */
      readonly onArrived?: () => void;
    }
  | { readonly kind: 'barrier' | 'barrier-done'; readonly id: number }
  | {
      readonly kind: 'prepare' | 'prepared';
      readonly nonce: number;
      readonly pageCount: number;
      /** 16 hexadecimal digits: an order-independent sum over all page copies handed on. */
      readonly checksum: string;
    }
  | { readonly kind: 'commit'; readonly nonce: number }
  | { readonly kind: 'abort'; readonly code: string; readonly text: string }
  | { readonly kind: 'return-path'; readonly bytes: Uint8Array }
  | { readonly kind: 'control'; readonly text: string };

export type MessageKind = Message['kind'];

interface KindRule {
  readonly type: number;
  /** Who may send it. */
  readonly from: LinkRole | 'both';
  /** Only page traffic and barriers leave lane 0. */
  readonly anyLane: boolean;
}

const RULES: Readonly<Record<MessageKind, KindRule>> = {
  layout: { type: FRAME.LAYOUT, from: 'source', anyLane: false },
  prologue: { type: FRAME.PROLOGUE, from: 'source', anyLane: false },
  pages: { type: FRAME.PAGES, from: 'source', anyLane: true },
  barrier: { type: FRAME.BARRIER, from: 'source', anyLane: true },
  'barrier-done': { type: FRAME.BARRIER_DONE, from: 'destination', anyLane: false },
  tail: { type: FRAME.TAIL, from: 'source', anyLane: false },
  prepare: { type: FRAME.PREPARE, from: 'source', anyLane: false },
  prepared: { type: FRAME.PREPARED, from: 'destination', anyLane: false },
  commit: { type: FRAME.COMMIT, from: 'source', anyLane: false },
  abort: { type: FRAME.ABORT, from: 'both', anyLane: false },
  'return-path': { type: FRAME.RETURN_PATH, from: 'destination', anyLane: false },
  control: { type: FRAME.CONTROL, from: 'both', anyLane: false },
};

const KIND_OF_TYPE: ReadonlyMap<number, MessageKind> = new Map(
  Object.entries(RULES).map(([kind, rule]) => [rule.type, kind as MessageKind]),
);

export interface EncodedMessage {
  readonly type: number;
  readonly payload: Uint8Array;
}

/**
 * Throws LINK_PROTOCOL when `from` may not say this on `lane`: the same check for what we
 * send and what arrives.
 */
export function checkPlace(kind: MessageKind, from: LinkRole, lane: number): void {
  const rule = RULES[kind];
  if (rule.from !== 'both' && rule.from !== from) {
    throw linkError('LINK_PROTOCOL', `the ${from} may not send ${kind}`, { fields: { kind, from } });
  }
  if (lane !== 0 && !rule.anyLane) {
    throw linkError('LINK_PROTOCOL', `${kind} travels on lane 0, not ${lane}`, { fields: { kind, lane } });
  }
}

export function encodeMessage(message: Message): EncodedMessage {
  const type = RULES[message.kind].type;
  const payload = encodePayload(message);
  if (payload.length > PAYLOAD_BYTES_MAX) {
    throw linkError('LINK_FRAME_LENGTH', `${message.kind} of ${payload.length} bytes`, {
      fields: { length: payload.length, lengthMax: PAYLOAD_BYTES_MAX },
    });
  }
  return { type, payload };
}

function encodePayload(message: Message): Uint8Array {
  const writer = new Writer();
  switch (message.kind) {
    case 'pages':
      return message.batch;
    case 'return-path':
      return message.bytes;
    case 'control':
      return Buffer.from(message.text.toWellFormed());
    case 'abort':
      return encodeRefusal(message);
    case 'layout':
      writer.u32(message.blocks.length);
      for (const block of message.blocks) {
        const id = Buffer.from(block.id);
        writer.u8(id.length).bytes(id).u64(block.sizeBytes);
      }
      return writer.done();
    case 'prologue':
    case 'tail':
      return writer
        .u8(message.last ? 1 : 0)
        .bytes(message.bytes)
        .done();
    case 'barrier':
    case 'barrier-done':
      return writer.u32(message.id).done();
    case 'prepare':
    case 'prepared':
      return writer.u32(message.nonce).u64(message.pageCount).bytes(checksumBytes(message.checksum)).done();
    case 'commit':
      return writer.u32(message.nonce).done();
  }
}

function checksumBytes(checksum: string): Uint8Array {
  assert(/^[0-9a-f]{16}$/.test(checksum), 'a checksum has 16 hexadecimal digits');
  return Buffer.from(checksum, 'hex');
}

/** The message of a lane frame, or null for an optional type that this version does not know. */
export function decodeMessage(type: number, payload: Uint8Array, payloadCheck: number): Message | null {
  const kind = KIND_OF_TYPE.get(type);
  if (kind === undefined) return null;
  if (kind === 'pages') return { kind, batch: payload, checksum: payloadCheck };
  const reader = new Reader(payload, kind.toUpperCase());
  const message = decodePayload(kind, reader);
  reader.end();
  return message;
}

function decodePayload(kind: Exclude<MessageKind, 'pages'>, reader: Reader): Message {
  switch (kind) {
    case 'return-path':
      return { kind, bytes: reader.rest() };
    case 'control':
      if (reader.left > CONTROL_BYTES_MAX) reader.refuse(`${reader.left} bytes`);
      return { kind, text: reader.utf8(reader.left) };
    case 'abort':
      return { kind, ...decodeRefusal(reader.rest()) };
    case 'layout':
      return { kind, blocks: decodeBlocks(reader) };
    case 'prologue':
    case 'tail': {
      const last = reader.u8();
      if (last > 1) reader.refuse(`last = ${last}`);
      return { kind, last: last === 1, bytes: reader.rest() };
    }
    case 'barrier':
    case 'barrier-done':
      return { kind, id: reader.u32() };
    case 'prepare':
    case 'prepared':
      return {
        kind,
        nonce: reader.u32(),
        pageCount: reader.u64(),
        checksum: Buffer.from(reader.bytes(8)).toString('hex'),
      };
    case 'commit':
      return { kind, nonce: reader.u32() };
  }
}

function decodeBlocks(reader: Reader): { id: string; sizeBytes: number }[] {
  const count = reader.u32();
  if (count > BLOCKS_MAX) reader.refuse(`${count} blocks`);
  return Array.from({ length: count }, () => ({ id: reader.utf8(reader.u8()), sizeBytes: reader.u64() }));
}
