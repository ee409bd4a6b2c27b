/** Trace files: read in chunks. Not responsible for the format (reader.ts). */

import { closeSync, openSync, readSync } from 'node:fs';
import { MIB } from '../base/index.ts';
import { type Recording, readRecording } from './recording.ts';
import { replayGuest } from './replay.ts';
import type { GuestModel } from './types.ts';

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
export function traceLoader(): (path: string) => GuestModel {
  const guests = new Map<string, GuestModel>();
  return (path) => {
    const guest = guests.get(path) ?? replayGuest(readTraceFile(path));
    guests.set(path, guest);
    return guest;
  };
}
