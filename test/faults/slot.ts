/**
 * What several faults use one after the other: two hosts, the link between them, and a real sshd on the far
 * one. Not responsible for VMs (scene.ts).
 */

import {
  makeRunFolder,
  type Network,
  openNetwork,
  removeRunFolder,
  runCommand,
} from '../../src/lab/index.ts';
import { findSshd, openSshHost, type SshHost } from '../live/ssh-rig.ts';

const LINK_BYTES_PER_SECOND = 50e6;

export interface Slot {
  readonly network: Network | null;
  /** null: no sshd here, so no fault between two hosts. */
  readonly ssh: SshHost | null;
  /** The link between the hosts is one of its own that can be put down. */
  readonly hasLink: boolean;
  setLink(state: 'up' | 'down'): Promise<void>;
  /** As a firewall that forgot them: every connection to the far host is reset. */
  resetConnections(): Promise<void>;
  close(): Promise<void>;
}

const NOTHING: Slot = {
  network: null,
  ssh: null,
  hasLink: false,
  setLink: async () => undefined,
  resetConnections: async () => undefined,
  close: async () => undefined,
};

export async function openSlot(hosts: 'one host' | 'two hosts'): Promise<Slot> {
  if (hosts === 'one host' || findSshd() === null) return NOTHING;
  const folder = makeRunFolder();
  const network = await openNetwork({ linkBytesPerSecond: LINK_BYTES_PER_SECOND });
  const close = async (ssh: SshHost | null) => {
    await ssh?.close();
    await network.close();
    removeRunFolder(folder);
  };
  try {
    const ssh = await openSshHost(network, folder);
    const hasLink = network.kind === 'namespaces';
    const onFarHost = (argv: string[]) => runCommand(network.destination.command(argv));
    const device = hasLink ? await deviceOf(ssh, onFarHost) : '';
    return {
      network,
      ssh,
      hasLink,
      setLink: async (state) => void (await onFarHost(['ip', 'link', 'set', device, state])),
      resetConnections: async () => void (await runCommand(['ss', '-K', '-t', 'dst', ssh.address])),
      close: () => close(ssh),
    };
  } catch (error) {
    await close(null);
    throw error;
  }
}

async function deviceOf(ssh: SshHost, onFarHost: (argv: string[]) => Promise<string>): Promise<string> {
  const shown = await onFarHost(['ip', '-o', '-4', 'address', 'show', 'to', ssh.address]);
  return shown.split(/\s+/)[1]!;
}
