/** Trace files: read in chunks. Not responsible for the format (reader.ts). */

import { closeSync, openSync, readSync } from 'node:fs';
import { MIB } from '../base/index.ts';
import { type Recording, readRecording } from './recording.ts';
import { replayOf } from './replay.ts';
import type { GuestModel, TraceSource } from './types.ts';

/** Errors: the file system's, and those of readRecording. */
export function readTraceFile(path: string): Recording {
  return readRecording(chunksOf(path));
}

function* chunksOf(path: string): Generator<Uint8Array> {
  const file = openSync(path, 'r');
  try {
    const buffer = Buffer.allocUnsafe(MIB);
    for (;;) {
      const read = readSync(file, buffer, 0, buffer.length, null);
      if (read === 0) return;
      yield buffer.subarray(0, read);
    }
  } finally {
    closeSync(file);
  }
}

/** A loader that reads each file once. */
export function traceLoader(): (source: TraceSource) => GuestModel {
  const replays = new Map<string, (startShare: number) => GuestModel>();
  return ({ file, startShare }) => {
    const replay = replays.get(file) ?? replayOf(readTraceFile(file));
    replays.set(file, replay);
    return replay(startShare);
  };
}
