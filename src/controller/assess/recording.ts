/**
 * Writes the trace of a migration to a file while it runs. A disk that is full ends the
 * recording, never the migration.
 */

import { createWriteStream } from 'node:fs';
import { GodwitError } from '../../base/index.ts';

/** What waits to be written; beyond it the disk is too slow for this guest. */
const PENDING_BYTES_MAX = 64 * 1024 * 1024;

export interface Recording {
  readonly write: (bytes: Uint8Array) => void;
  /** Errors: RECORD_WRITE when the file is not whole. */
  close(): Promise<void>;
}

export function openRecording(filePath: string | null): Recording | null {
  if (filePath === null) return null;
  const file = createWriteStream(filePath);
  let failure: unknown = null;
  file.on('error', (error) => {
    failure ??= error;
  });
  return {
    write(bytes) {
      if (failure !== null) return;
      if (file.writableLength > PENDING_BYTES_MAX) failure = new Error('the disk does not keep up');
      else file.write(bytes);
    },
    async close() {
      await new Promise<void>((resolve) => {
        file.on('close', resolve);
        file.end();
        if (file.destroyed) resolve();
      });
      if (failure === null) return;
      throw new GodwitError('RECORD_WRITE', `the trace ${filePath} is not whole`, {
        cause: failure,
        safe: 'the migration was not affected; what was written so far can be read',
        hint: 'record to a file system with more space',
      });
    },
  };
}
