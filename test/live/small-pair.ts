/**
 * Two small VMs for tests that move one of them: enough memory to see a migration, little enough to wait for
 * it.
 */

import { MIB } from '../../src/base/index.ts';
import { type LabPair, type Network, openPair, type PairOptions } from '../../src/lab/index.ts';

export function openSmallPair(network: Network, changes: Partial<PairOptions> = {}): Promise<LabPair> {
  return openPair({
    network,
    memoryBytes: 64 * MIB,
    guest: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 4 * MIB, seed: 5 },
    cores: null,
    ...changes,
  });
}

/** How migrate reaches both ends without a far gateway. */
export async function endsOf(pair: LabPair, network: Network) {
  const { listen, connect } = await network.openPort();
  return {
    sourceQmpPath: pair.source.controlPath,
    destinationQmpPath: pair.destination.controlPath,
    insecure: true,
    destinationAddress: {
      listen: `${listen.host}:${listen.port}`,
      connect: `${connect.host}:${connect.port}`,
    },
  };
}
