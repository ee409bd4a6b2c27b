/**
 * The network on which clients reach a Linux guest wherever it runs: a namespace with one bridge, to which
 * the network card of either QEMU is brought. It is not the migration's link and is not shaped. Needs the
 * privilege to make namespaces. Not responsible for the clients.
 */

import { type LabProcess, runCommand } from '../machine/processes.ts';
import { holdNamespace } from '../network/namespace.ts';
import type { Network } from '../network/network.ts';

export interface UserNetwork {
  /** `argv` as it must be run to be a client. */
  clientCommand(argv: readonly string[]): string[];
  /** QEMU's arguments for the guest's network card. */
  cardArguments(end: 'source' | 'destination'): string[];
  /** Once the QEMU of that end runs: its card is plugged into the bridge. */
  plug(end: 'source' | 'destination'): Promise<void>;
  close(): Promise<void>;
}

const BRIDGE = 'clients';
const CLIENT_ADDRESS = '10.71.0.1/24';
/** The same at both ends, as a VM that moves keeps its card. */
const GUEST_MAC = '52:54:00:67:77:02';

let opened = 0;

/** A card without a network behind it, for a machine where no namespaces can be made. */
export const UNPLUGGED_CARD: readonly string[] = [
  ...['-netdev', 'hubport,id=net0,hubid=0'],
  ...['-device', `virtio-net-pci,netdev=net0,mac=${GUEST_MAC}`],
];

/** Errors: LAB_COMMAND_FAILED, LAB_TOOL_MISSING; without the privilege. */
export async function openUserNetwork(network: Network): Promise<UserNetwork> {
  const unique = `gwu${process.pid.toString(36)}${(opened++).toString(36)}`;
  const taps = { source: `${unique}s`, destination: `${unique}d` } as const;
  const holder = await holdNamespace();
  const clientCommand = (argv: readonly string[]) => [
    ...['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'],
    ...argv,
  ];
  try {
    await buildBridge((words) => runCommand(clientCommand(['ip', ...words])));
  } catch (error) {
    await holder.kill();
    throw error;
  }
  return {
    clientCommand,
    cardArguments: (end) => [
      ...['-netdev', `tap,id=net0,ifname=${taps[end]},script=no,downscript=no`],
      ...['-device', `virtio-net-pci,netdev=net0,mac=${GUEST_MAC}`],
    ],
    plug: (end) => plug(network[end].command(['ip']), clientCommand(['ip']), taps[end], holder),
    close: () => holder.kill(),
  };
}

async function buildBridge(ip: (words: readonly string[]) => Promise<string>): Promise<void> {
  await ip(['link', 'add', BRIDGE, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0']);
  await ip(['address', 'add', CLIENT_ADDRESS, 'dev', BRIDGE]);
  await ip(['link', 'set', BRIDGE, 'up']);
}

/**
 * QEMU makes its tap device itself, so the kernel removes it when QEMU ends, however that comes. The device
 * may leave for another namespace while QEMU holds it.
 */
async function plug(
  ipOnHost: readonly string[],
  ipOfClients: readonly string[],
  tap: string,
  holder: LabProcess,
): Promise<void> {
  await runCommand([...ipOnHost, 'link', 'set', tap, 'netns', `${holder.pid}`]);
  await runCommand([...ipOfClients, 'link', 'set', tap, 'master', BRIDGE]);
  await runCommand([...ipOfClients, 'link', 'set', tap, 'up']);
}
