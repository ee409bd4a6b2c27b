/** Errors of reading traces; each names the offset in the file. */

import { GodwitError } from '../base/index.ts';

export type TraceErrorCode = 'TRACE_MAGIC' | 'TRACE_HEADER' | 'TRACE_RECORD' | 'TRACE_CHECK';

export function traceError(code: TraceErrorCode, message: string, offset: number): GodwitError {
  return new GodwitError(code, `${message} (byte ${offset})`, {
    hint:
      code === 'TRACE_MAGIC'
        ? 'give a file written by --record or godwit trace synthesize'
        : 'the file is damaged, or was written by something else',
    fields: { offset },
  });
}
