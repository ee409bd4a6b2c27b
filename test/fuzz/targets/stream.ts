/** QEMU's migration stream and its return path. */

import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { zstdDecompressSync } from 'node:zlib';
import { Prng } from '../../../src/base/index.ts';
import { InspectCollector } from '../../../src/cli/inspect/collector.ts';
import { encodePong, encodeShut, encodeSwitchoverAck, StreamDecoder } from '../../../src/stream/index.ts';
import { checkLegal, checkReturnPathBytes, checkStreamBytes } from '../stream-check.ts';
import { generateStream } from '../stream-generator.ts';
import { type FuzzTarget, INPUT_BYTES_MAX } from '../target.ts';

const GOLDEN = join(import.meta.dirname, '../../golden');

/**
 * The first and the last part of each recording: setup and some pages, then pages, devices and description.
 */
function recordings(): Uint8Array[] {
  return readdirSync(GOLDEN)
    .filter((name) => name.endsWith('.stream.zst'))
    .map((name) => zstdDecompressSync(readFileSync(join(GOLDEN, name))))
    .map((bytes) =>
      bytes.length <= INPUT_BYTES_MAX
        ? bytes
        : Buffer.concat([bytes.subarray(0, 16_384), bytes.subarray(bytes.length - 32_768)]),
    );
}

/** The chunking follows from the input, so that a file alone replays. */
function diceOf(bytes: Uint8Array): Prng {
  return new Prng(bytes.reduce((sum, byte) => (Math.imul(sum, 31) + byte) | 0, bytes.length));
}

const streams = {
  seeds: recordings,
  generate: (prng: Prng) => generateStream(prng.u32()).bytes,
  words: ['QEVM', 'ram', '{"devices":[]}', '\u0006', '\u007e', '{"page_size":4096}'],
};

export const stream: FuzzTarget = {
  name: 'stream',
  codes: /^STREAM_/,
  ...streams,
  run: (bytes) => checkStreamBytes(Buffer.from(bytes), diceOf(bytes)),
};

/** Four bytes are the seed of a legal stream: the naive decoder and a re-emission agree with it. */
export const legalStream: FuzzTarget = {
  name: 'stream-legal',
  codes: /^NONE$/,
  inputBytesMax: 4,
  generate: (prng) => Uint8Array.from({ length: 4 }, () => prng.below(256)),
  run: (bytes) => checkLegal(Buffer.concat([bytes, Buffer.alloc(4)]).readUInt32LE()),
};

/** What `godwit inspect` counts of a capture. */
export const inspect: FuzzTarget = {
  name: 'inspect',
  codes: /^STREAM_/,
  ...streams,
  run: (bytes) => {
    const decoder = new StreamDecoder({ capabilities: 'unknown' }, new InspectCollector());
    for (let at = 0; at < bytes.length; at += 65_536)
      decoder.write(Uint8Array.from(bytes.subarray(at, at + 65_536)));
    decoder.end();
  },
};

export const returnPath: FuzzTarget = {
  name: 'return-path',
  codes: /^RETURN_PATH_/,
  inputBytesMax: 4096,
  seeds: () => [
    Buffer.from([0, 6, 0, 4, 0, 0, 0, 1]),
    Buffer.from('\0\u0004\0\u000c\0\0\0\0\0\0\u0010\0\0\0\u0010\0', 'latin1'),
    Buffer.concat([Buffer.from([0, 3, 0, 19]), Buffer.alloc(12), Buffer.from('\u0006pc.ram')]),
    Buffer.concat([
      Buffer.from([0, 5, 0, 7]),
      Buffer.from('\u0006pc.ram'),
      Buffer.from([0, 0, 0, 0, 0, 0, 0, 8]),
      Buffer.alloc(16),
    ]),
  ],
  generate: (prng) => {
    const legal = [encodeShut(prng.u32()), encodePong(prng.u32()), encodeSwitchoverAck()];
    return Buffer.concat(Array.from({ length: 1 + prng.below(6) }, () => legal[prng.below(legal.length)]!));
  },
  run: (bytes) => checkReturnPathBytes(Buffer.from(bytes), diceOf(bytes)),
};
