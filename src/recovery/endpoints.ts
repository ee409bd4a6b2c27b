/**
 * Both QEMUs as the journal names them, so that whoever finds it can reach them. Not responsible
 * for reaching them (src/machines).
 */

import type { QmpEndpoint } from '../machines/index.ts';
import type { QmpClient } from '../qmp/index.ts';
import { qemuIdentity } from '../qmp/index.ts';
import type { ReachSpec } from '../remote/index.ts';

export interface Endpoints {
  readonly source: QmpEndpoint;
  readonly destination: QmpEndpoint;
}

/** Of a migration's options, what says where its two QEMUs are. */
export interface EndPaths {
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  readonly far?: { readonly reach: ReachSpec; readonly linkTimeoutMs: number } | null;
}

export async function endpointsOf(
  { sourceQmpPath, destinationQmpPath, far }: EndPaths,
  migrationId: string,
  source: QmpClient,
  destination: QmpClient,
  /** The destination's process, where whoever started it knows; else null. */
  known: string | null = null,
): Promise<Endpoints> {
  const reach =
    far == null
      ? null
      : {
          command: [...far.reach.command],
          host: far.reach.host,
          linkTimeoutMs: far.linkTimeoutMs,
          listener: far.reach.listener,
        };
  // Process numbers of another host mean nothing here; it is asked for them later.
  const isFar = reach?.host != null || reach?.listener != null;
  const identity = known ?? (isFar ? null : await qemuIdentity(destination));
  const claim = migrationId;
  return {
    source: { qmpPath: sourceQmpPath, identity: await qemuIdentity(source), claim, reach: null },
    destination: { qmpPath: destinationQmpPath, identity, claim, reach },
  };
}
