/** What must hold for every input of the stream decoders, legal or not. Throws where it does not. */

import assert from 'node:assert/strict';
import { errorCode, GodwitError, Prng } from '../../src/base/index.ts';
import { encodePong, encodeShut, encodeSwitchoverAck, ReturnPathDecoder } from '../../src/stream/index.ts';
import { decodeNaively } from '../golden/naive.ts';
import { decodeInChunks, Recorder } from '../golden/recorder.ts';
import { reemit } from '../golden/reemit.ts';
import { damage, generateStream, random } from './stream-generator.ts';

interface Outcome {
  readonly lines: string[];
  readonly complete: boolean | null;
  readonly error: string | null;
}

/** Decodes; any failure must be one of ours. */
function outcome(bytes: Buffer, chunkBytes: readonly number[]): { outcome: Outcome; recorder: Recorder } {
  const recorder = new Recorder();
  let error: string | null = null;
  let complete: boolean | null = false;
  try {
    complete = decodeInChunks(bytes, chunkBytes, recorder).decoder.end().complete;
  } catch (thrown) {
    assert.ok(thrown instanceof GodwitError, `a GodwitError, not ${thrown}`);
    assert.match(thrown.code, /^STREAM_/);
    error = `${thrown.code} ${thrown.fields['streamOffset']}`;
  }
  return { outcome: { lines: recorder.lines(), complete, error }, recorder };
}

function chunking(prng: Prng): number[] {
  return Array.from({ length: 1 + prng.below(6) }, () =>
    prng.below(2) === 0 ? 1 + prng.below(20) : 1 + prng.below(9000),
  );
}

/** A legal stream: the naive decoder's records in any chunking, and the same memory after re-emission. */
export function checkLegal(seed: number): void {
  const prng = new Prng(seed ^ 0x5bd1e995);
  const { bytes, described, readable } = generateStream(seed);
  const naive = decodeNaively(bytes);
  for (const sizes of [[bytes.length], chunking(prng), chunking(prng)]) {
    const { outcome: found, recorder } = outcome(bytes, sizes);
    assert.equal(found.error, null);
    assert.deepEqual(found.lines, naive.events);
    if (described) assert.equal(found.complete, true);
    if (described) assert.ok(recorder.tail?.sections, 'the sections are found');
    if (!readable) assert.equal(found.complete, null);
    if (!described) continue;
    const again = outcome(reemit(recorder, seed), chunking(prng));
    assert.equal(again.outcome.complete, true);
    assert.deepEqual(again.recorder.memory, recorder.memory);
    assert.deepEqual(again.recorder.tail, recorder.tail);
  }
}

/** A damaged stream: no foreign error, and the same answer in any chunking. */
export function checkDamaged(seed: number): void {
  const prng = new Prng(seed ^ 0x27d4eb2f);
  let bytes: Buffer = generateStream(seed).bytes;
  for (let count = 1 + prng.below(3); count > 0 && bytes.length > 0; count--) bytes = damage(bytes, prng);
  checkStreamBytes(bytes, prng);
}

/**
 * Any bytes: no foreign error, the same answer in any chunking, and what is taken as whole the
 * naive decoder reads alike.
 */
export function checkStreamBytes(bytes: Buffer, prng: Prng): void {
  const { outcome: whole } = outcome(bytes, [Math.max(1, bytes.length)]);
  assert.deepEqual(outcome(bytes, chunking(prng)).outcome, whole);
  // Damage may leave an end that is sure and sections that do not add up: then ours says so, and
  // the naive decoder counts.
  const sure = (lines: readonly string[]) => lines.filter((line) => !line.startsWith('tail '));
  if (whole.complete === true) assert.deepEqual(sure(decodeNaively(bytes).events), sure(whole.lines));
}

/** The return path: any bytes give messages or one of our errors, alike in any chunking. */
export function checkReturnPath(seed: number): void {
  const prng = new Prng(seed ^ 0x165667b1);
  const legal = [encodeShut(prng.u32()), encodePong(prng.u32()), encodeSwitchoverAck()];
  let bytes: Buffer = Buffer.concat(
    Array.from({ length: prng.below(8) }, () => legal[prng.below(legal.length)]!),
  );
  if (bytes.length > 0 && prng.below(2) === 0) bytes = damage(bytes, prng);
  if (prng.below(4) === 0) bytes = Buffer.concat([bytes, random(prng, prng.below(600))]);
  checkReturnPathBytes(bytes, prng);
}

export function checkReturnPathBytes(bytes: Buffer, prng: Prng): void {
  const read = (sizes: readonly number[]) => {
    const found: string[] = [];
    const decoder = new ReturnPathDecoder({
      onMessage: (message, raw) =>
        found.push(`${JSON.stringify(message)} ${Buffer.from(raw).toString('hex')}`),
      onBitmapBytes: () => undefined,
    });
    try {
      for (let at = 0, turn = 0; at < bytes.length; turn++) {
        const size = sizes[turn % sizes.length]!;
        decoder.write(bytes.subarray(at, at + size));
        at += size;
      }
    } catch (error) {
      assert.ok(error instanceof GodwitError, `a GodwitError, not ${error}`);
      assert.match(errorCode(error), /^RETURN_PATH_/);
      found.push(`${error.code} ${error.fields['streamOffset']}`);
    }
    return found;
  };
  assert.deepEqual(read(chunking(prng)), read([Math.max(1, bytes.length)]));
}
