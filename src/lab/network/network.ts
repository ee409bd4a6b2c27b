/**
 * Two hosts and the link between them. With privilege they are two network namespaces joined by a veth pair
 * that the kernel shapes in both directions (`tc tbf`). Without privilege a token-bucket relay in this
 * process stands in, and `note` says so. Not responsible for what runs on the hosts, nor for latency.
 */

import { errorMessage } from '../../base/index.ts';
import type { CorePlan } from '../machine/pinning.ts';
import { type LabProcess, runCommand } from '../machine/processes.ts';
import type { Endpoint } from './endpoint.ts';
import { holdNamespace } from './namespace.ts';
import { openShapedRelay, type ShapedRelay } from './shaped-relay.ts';

export interface Host {
  readonly name: 'source' | 'destination';
  /** `argv` as it must be run to run on this host. */
  command(argv: readonly string[]): string[];
  /** The host's own cores; absent where each VM is given its cores separately. */
  readonly cores?: CorePlan;
}

export interface LinkCounters {
  /** Source to destination, headers included where the kernel counts them. */
  readonly forwardBytes: number;
  readonly backwardBytes: number;
}

export interface Network {
  readonly kind: 'namespaces' | 'relay';
  /** Why the kernel does not shape the link; null where it does. */
  readonly note: string | null;
  readonly linkBytesPerSecond: number;
  readonly source: Host;
  readonly destination: Host;
  /** A fresh port: the destination listens on `listen`, the source host connects to `connect`. */
  openPort(): Promise<{ readonly listen: Endpoint; readonly connect: Endpoint }>;
  counters(): Promise<LinkCounters>;
  close(): Promise<void>;
}

export interface NetworkOptions {
  readonly linkBytesPerSecond: number;
  /**
   * `caller`: the source host is the namespace of this process, so that a gateway inside it reaches the link.
   * `own`: the source host gets a namespace too. Default `caller`.
   */
  readonly sourceNamespace?: 'caller' | 'own';
  /** `relay` skips the attempt to make namespaces. Default `auto`. */
  readonly kind?: 'auto' | 'relay';
}

// Jumbo frames: at 1500 bytes the headers alone would take 4.4 % of the link.
const MTU_BYTES = 9000;
// The bucket must hold a whole offloaded packet (64 KiB), or tbf splits each one in software; 4 ms of link
// otherwise.
const BURST_BYTES_MIN = 128 * 1024;
const BURST_MS = 4;
// Long enough for TCP's halved window to fill the link, which has no base latency; short enough to add no
// downtime.
const QUEUE_BYTES_MIN = 128 * 1024;
const QUEUE_MS = 20;
const PORT_FIRST = 4444;
const BENCHMARK_NET = 198 * 2 ** 24 + 18 * 2 ** 16;
const SUBNETS = 2 ** 15;

export async function openNetwork(options: NetworkOptions): Promise<Network> {
  if (options.kind === 'relay') return openRelayNetwork(options, 'asked for');
  try {
    return await openNamespaces(options);
  } catch (error) {
    return openRelayNetwork(options, `no network namespaces here (${errorMessage(error)})`);
  }
}

/** `tc tbf` parameters for a rate: bucket and queue, in bytes. */
export function shaping(linkBytesPerSecond: number): { burstBytes: number; queueBytes: number } {
  const burstBytes = Math.max(BURST_BYTES_MIN, Math.round((linkBytesPerSecond * BURST_MS) / 1000));
  const queueBytes = Math.max(QUEUE_BYTES_MIN, Math.round((linkBytesPerSecond * QUEUE_MS) / 1000));
  return { burstBytes, queueBytes: burstBytes + queueBytes };
}

interface Side {
  readonly host: Host;
  readonly device: string;
  readonly address: string;
  /** Prefix of `ip` and `tc` commands that act on this side. */
  readonly enter: readonly string[];
}

let networksOpened = 0;

async function openNamespaces(options: NetworkOptions): Promise<Network> {
  const holders: LabProcess[] = [];
  try {
    const destinationHolder = await holdNamespace();
    holders.push(destinationHolder);
    const sourceHolder = options.sourceNamespace === 'own' ? await holdNamespace() : null;
    if (sourceHolder) holders.push(sourceHolder);
    const [source, destination] = await joinSides(sourceHolder, destinationHolder);
    for (const side of [source, destination]) await shape(side, options.linkBytesPerSecond);
    return namespaceNetwork(options.linkBytesPerSecond, source, destination, holders);
  } catch (error) {
    await Promise.all(holders.map((holder) => holder.kill()));
    throw error;
  }
}

async function joinSides(
  sourceHolder: LabProcess | null,
  destinationHolder: LabProcess,
): Promise<readonly [Side, Side]> {
  const unique = `${process.pid.toString(36)}${(networksOpened++).toString(36)}`;
  const [sourceDevice, destinationDevice] = [`gws${unique}`, `gwd${unique}`];
  await runCommand([
    ...['ip', 'link', 'add', sourceDevice, 'mtu', `${MTU_BYTES}`, 'type', 'veth'],
    ...['peer', 'name', destinationDevice, 'mtu', `${MTU_BYTES}`, 'netns', `${destinationHolder.pid}`],
  ]);
  if (sourceHolder) await runCommand(['ip', 'link', 'set', sourceDevice, 'netns', `${sourceHolder.pid}`]);
  const base = await freeSubnet();
  const side = (name: Host['name'], holder: LabProcess | null, device: string, offset: number): Side => {
    const enter = holder === null ? [] : ['nsenter', `--net=/proc/${holder.pid}/ns/net`, '--'];
    const host: Host = { name, command: (argv) => [...enter, ...argv] };
    return { host, device, address: ipv4(base + offset), enter };
  };
  return [
    side('source', sourceHolder, sourceDevice, 1),
    side('destination', destinationHolder, destinationDevice, 2),
  ];
}

/**
 * First address of a /30 that no other lab on this machine uses.
 * 198.18.0.0/15 is reserved for benchmarks (RFC 2544) and collides with no real network.
 */
async function freeSubnet(): Promise<number> {
  const shown = await runCommand(['ip', '-o', 'address', 'show', 'to', `${ipv4(BENCHMARK_NET)}/15`]);
  for (let index = 0; index < SUBNETS; index++) {
    const first = BENCHMARK_NET + 4 * ((process.pid * 64 + index) % SUBNETS);
    if (!shown.includes(` ${ipv4(first + 1)}/`)) return first;
  }
  throw new Error('every subnet of 198.18.0.0/15 is in use');
}

function ipv4(address: number): string {
  return [24, 16, 8, 0].map((shift) => (address >>> shift) & 255).join('.');
}

async function shape(side: Side, linkBytesPerSecond: number): Promise<void> {
  const { burstBytes, queueBytes } = shaping(linkBytesPerSecond);
  const run = (argv: string[]) => runCommand([...side.enter, ...argv]);
  await run(['ip', 'address', 'add', `${side.address}/30`, 'dev', side.device]);
  if (side.enter.length > 0) await run(['ip', 'link', 'set', 'lo', 'up']);
  await run(['ip', 'link', 'set', side.device, 'up']);
  await run([
    ...['tc', 'qdisc', 'add', 'dev', side.device, 'root', 'tbf'],
    ...[
      'rate',
      `${Math.round(linkBytesPerSecond * 8)}bit`,
      'burst',
      `${burstBytes}`,
      'limit',
      `${queueBytes}`,
    ],
  ]);
}

function namespaceNetwork(
  linkBytesPerSecond: number,
  source: Side,
  destination: Side,
  holders: readonly LabProcess[],
): Network {
  let port = PORT_FIRST;
  return {
    kind: 'namespaces',
    note: null,
    linkBytesPerSecond,
    source: source.host,
    destination: destination.host,
    async openPort() {
      const endpoint = { host: destination.address, port: port++ };
      return { listen: endpoint, connect: endpoint };
    },
    async counters() {
      return { forwardBytes: await shapedBytes(source), backwardBytes: await shapedBytes(destination) };
    },
    async close() {
      await Promise.all(holders.map((holder) => holder.kill()));
    },
  };
}

/**
 * The shaper's own counter. Unlike the device's, it counts each packet's headers also where packets leave in
 * bunches.
 */
async function shapedBytes(side: Side): Promise<number> {
  const text = await runCommand([...side.enter, 'tc', '-s', '-j', 'qdisc', 'show', 'dev', side.device]);
  const [qdisc] = JSON.parse(text) as { bytes?: number }[];
  if (typeof qdisc?.bytes !== 'number') throw new Error(`tc shows no byte counter for ${side.device}`);
  return qdisc.bytes;
}

function openRelayNetwork(options: NetworkOptions, why: string): Network {
  const relays: ShapedRelay[] = [];
  const total = (read: (relay: ShapedRelay) => number) => relays.reduce((sum, relay) => sum + read(relay), 0);
  return {
    kind: 'relay',
    note: `the link is shaped by a relay in this process: ${why}`,
    linkBytesPerSecond: options.linkBytesPerSecond,
    source: { name: 'source', command: (argv) => [...argv] },
    destination: { name: 'destination', command: (argv) => [...argv] },
    async openPort() {
      const relay = await openShapedRelay(options.linkBytesPerSecond);
      relays.push(relay);
      return { listen: relay.target, connect: relay.entry };
    },
    async counters() {
      return {
        forwardBytes: total((relay) => relay.forwardBytes()),
        backwardBytes: total((relay) => relay.backwardBytes()),
      };
    },
    async close() {
      await Promise.all(relays.map((relay) => relay.close()));
    },
  };
}
