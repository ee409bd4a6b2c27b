/** What both halves of a migration between two hosts agree on. */

import type { LinkOptions, LinkRole } from '../link/index.ts';
import { BATCH_FORMAT } from '../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';

/**
 * TCP doubles its patience with every packet that is lost, and so is late by as long as the network was broken; a new
 * connection is not. A PING a second makes this silence certain.
 */
const LINK_SILENCE_MS_MAX = 4_000;

/** `linkTimeoutMs`: how long the link may be down. */
export function linkTerms(
  role: LinkRole,
  linkTimeoutMs: number,
): Required<Pick<LinkOptions, 'capabilities' | 'limits'>> {
  return {
    capabilities: { role, codecMask: 1 << (BATCH_FORMAT - 1), pageSizeBytes: PAGE_SIZE_BYTES },
    limits: { linkTimeoutMs, silenceMsMax: LINK_SILENCE_MS_MAX },
  };
}
