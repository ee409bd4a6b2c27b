/**
 * The link's error codes; docs/format/link.md says which rule each names. Not responsible for docs/errors.md.
 */

import { GodwitError, type GodwitErrorOptions } from '../base/index.ts';

export type LinkErrorCode =
  | 'LINK_FRAME_MAGIC'
  | 'LINK_FRAME_HEADER'
  | 'LINK_FRAME_PAYLOAD'
  | 'LINK_FRAME_FLAGS'
  | 'LINK_FRAME_LENGTH'
  | 'LINK_FRAME_TYPE'
  /** A payload that does not follow its table. */
  | 'LINK_MESSAGE'
  /** A well-formed frame where or when it may not come. */
  | 'LINK_PROTOCOL'
  | 'LINK_VERSION'
  | 'LINK_MIGRATION'
  | 'LINK_CONNECTION'
  | 'LINK_EPOCH'
  | 'LINK_RESUME'
  | 'LINK_SEQUENCE'
  | 'LINK_ACK'
  | 'LINK_CREDIT'
  | 'LINK_TIMEOUT'
  | 'LINK_SILENT'
  /** The TLS handshake failed: wrong key, no key, unknown certificate, wrong host name. */
  | 'LINK_TLS'
  /** The link was used after it ended. */
  | 'LINK_CLOSED'
  /** A worker thread of the link died. */
  | 'LINK_WORKER';

export function linkError(code: LinkErrorCode, message: string, options?: GodwitErrorOptions): GodwitError {
  return new GodwitError(code, message, options);
}
