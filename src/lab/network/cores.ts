/** The two hosts on cores of their own, as two machines have processors of their own. */

import { CORES_AT_START } from '../machine/pinning.ts';
import type { Network } from './network.ts';

/**
 * What one host does costs the other no processor time. The source's gateway and migration share their core
 * with the vCPU, whose speed is measured. A machine with one core changes nothing.
 */
export function hostsOnOwnCores(network: Network, cores: readonly number[] = CORES_AT_START): Network {
  const middle = Math.ceil(cores.length / 2);
  const [sourceCores, destinationCores] = [cores.slice(0, middle).join(','), cores.slice(middle).join(',')];
  if (destinationCores === '') return network;
  const { source, destination } = network;
  return {
    ...network,
    source: { ...source, cores: { vcpu: sourceCores, rest: sourceCores } },
    destination: {
      ...destination,
      cores: { vcpu: destinationCores, rest: destinationCores },
      command: (argv) => [...destination.command([]), 'taskset', '-c', destinationCores, ...argv],
    },
  };
}
