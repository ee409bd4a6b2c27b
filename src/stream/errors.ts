/** Refusals of the stream and return path decoders. Codes are listed in docs/errors.md. */

import { GodwitError } from '../base/index.ts';

export type StreamErrorCode =
  | 'STREAM_MAGIC'
  | 'STREAM_VERSION'
  | 'STREAM_CONFIGURATION'
  | 'STREAM_SECTION'
  | 'STREAM_RAM_SETUP'
  | 'STREAM_RAM_RECORD'
  | 'STREAM_FOOTER'
  | 'STREAM_AFTER_END'
  | 'STREAM_LIMIT'
  | 'RETURN_PATH_TYPE'
  | 'RETURN_PATH_LENGTH';

/** `section` is the section of docs/format/qemu-stream.md whose rule was broken. */
export function streamError(
  code: StreamErrorCode,
  message: string,
  streamOffset: number,
  section: number,
  fields: Readonly<Record<string, string | number | boolean | null>> = {},
): GodwitError {
  return new GodwitError(code, message, {
    safe: 'nothing after this point was taken over; a source VM that sent it still owns its memory',
    hint: `see docs/format/qemu-stream.md, section ${section}`,
    fields: { streamOffset, section, ...fields },
  });
}
