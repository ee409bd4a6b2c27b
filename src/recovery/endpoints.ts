/** Both ends as the journal names them, so that whoever finds it can reach them. Not responsible for reaching them (machine.ts). */

import type { QmpClient } from '../qmp/index.ts';
import { qemuIdentity } from '../qmp/index.ts';
import type { ReachSpec } from '../remote/index.ts';
import type { Endpoint } from './journal.ts';

export interface Endpoints {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** Of a migration's options, what says where its two QEMUs are. */
export interface EndPaths {
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  readonly far?: { readonly reach: ReachSpec; readonly linkTimeoutMs: number } | null;
}

export async function endpointsOf(
  { sourceQmpPath, destinationQmpPath, far }: EndPaths,
  source: QmpClient,
  destination: QmpClient,
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
  // Process numbers of another host mean nothing here.
  const identity = reach?.host == null ? await qemuIdentity(destination) : null;
  return {
    source: { qmpPath: sourceQmpPath, identity: await qemuIdentity(source), reach: null },
    destination: { qmpPath: destinationQmpPath, identity, reach },
  };
}
