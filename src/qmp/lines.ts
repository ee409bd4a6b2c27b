/**
 * Bytes of a QMP connection -> JSON objects. Pure: no sockets.
 * Not responsible for what the objects mean. The peer is hostile: a line and its nesting are capped before
 * they are parsed.
 */

import { protocolError } from './errors.ts';

/**
 * query-qmp-schema is 0.24 MB in QEMU 10.0 and a guest's memory dump never comes this way: 16 MiB is
 * generous.
 */
const LINE_BYTES_MAX = 16 * 1024 * 1024;

/** QEMU's replies nest fewer than 20 levels. */
const JSON_DEPTH_MAX = 200;

export type JsonObject = Readonly<Record<string, unknown>>;

export interface QmpLine {
  readonly message: JsonObject;
  readonly sizeBytes: number;
}

const NEWLINE = 0x0a;

/** Collects chunks until a newline; memory is bounded by the line cap plus one chunk. */
export class LineReader {
  readonly #lineBytesMax: number;
  #parts: Uint8Array[] = [];
  #partsBytes = 0;

  constructor(lineBytesMax: number = LINE_BYTES_MAX) {
    this.#lineBytesMax = lineBytesMax;
  }

  /** True while the bytes so far end inside a line. */
  get midLine(): boolean {
    return this.#partsBytes > 0;
  }

  /** The lines that `chunk` completes. Errors: QMP_PROTOCOL. */
  *push(chunk: Uint8Array): Generator<QmpLine> {
    let start = 0;
    for (let end = chunk.indexOf(NEWLINE); end >= 0; end = chunk.indexOf(NEWLINE, start)) {
      this.#keep(chunk.subarray(start, end));
      start = end + 1;
      const sizeBytes = this.#partsBytes;
      const text = Buffer.concat(this.#parts, sizeBytes).toString('utf8').trim();
      this.#parts = [];
      this.#partsBytes = 0;
      if (text !== '') yield { message: parseMessage(text), sizeBytes };
    }
    if (start < chunk.length) this.#keep(chunk.subarray(start));
  }

  #keep(part: Uint8Array): void {
    this.#partsBytes += part.length;
    if (this.#partsBytes > this.#lineBytesMax) {
      this.#parts = [];
      throw protocolError(`a QMP line is longer than ${this.#lineBytesMax} bytes`);
    }
    this.#parts.push(part);
  }
}

/** One line's JSON object. Errors: QMP_PROTOCOL for anything else, or for nesting beyond the cap. */
function parseMessage(text: string): JsonObject {
  if (depthOf(text) > JSON_DEPTH_MAX) {
    throw protocolError(`a QMP line nests more than ${JSON_DEPTH_MAX} levels`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw protocolError(`a QMP line is not JSON: ${excerpt(text)}`, error);
  }
  if (!isObject(value)) throw protocolError(`a QMP line is not a JSON object: ${excerpt(text)}`);
  return value;
}

export function isObject(value: unknown): value is JsonObject {
  return value !== null && typeof value === 'object' && !Array.isArray(value);
}

/** Deepest nesting, brackets inside strings not counted; an upper bound where the text is not JSON. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let index = 0; index < text.length; index++) {
    const code = text.charCodeAt(index);
    if (inString) {
      if (code === 0x5c) index++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}

/** Enough of a bad line to recognize it; control bytes never reach a terminal. */
function excerpt(text: string): string {
  return JSON.stringify(text.length > 60 ? `${text.slice(0, 60)}...` : text);
}
