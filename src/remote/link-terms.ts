/** What both halves of a migration between two hosts agree on. */

import type { LinkOptions, LinkRole } from '../link/index.ts';
import { BATCH_FORMAT } from '../pages/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';

/**
 * TCP doubles its waiting time with every lost packet, so after a break it stays silent for about as long
 * again; a new connection does not. With a PING a second, this much silence means a broken connection.
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
