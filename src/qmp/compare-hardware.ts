/**
 * Machine, CPU, RAM and devices of two ends side by side. Pure. Not responsible for disks (compare-disks.ts)
 * or states (compare.ts).
 */

import { formatBytes } from '../base/index.ts';
import { featuresOnlyIn } from './cpu-features.ts';
import { type Finding, finding, shorten } from './findings.ts';
import type { MachineDescription } from './machine.ts';
import type { RamBlockFacts } from './monitor-text.ts';
import type { PciFunction } from './pci.ts';

export function* compareHardware(
  source: MachineDescription,
  destination: MachineDescription,
): Generator<Finding> {
  yield* platform(source, destination);
  yield* processors(source, destination);
  yield* memory(source.ramBlocks, destination.ramBlocks);
  yield* pciFunctions(source.pci, destination.pci);
  yield* deviceTree(source, destination);
  yield* iterating(source);
}

function* platform(source: MachineDescription, destination: MachineDescription): Generator<Finding> {
  if (source.machineType !== destination.machineType) {
    const { machineType: here } = source;
    yield finding('refuse', 'MACHINE_TYPE', 'the machine types differ', here, destination.machineType);
  }
  if (source.accelerator !== destination.accelerator) {
    const { accelerator: here } = source;
    yield finding('refuse', 'ACCELERATOR', 'the accelerators differ', here, destination.accelerator);
  }
  const here = versionText(source);
  const there = versionText(destination);
  if (here === there) return;
  const { version: left } = source;
  const { version: right } = destination;
  const isOlder = right.major < left.major || (right.major === left.major && right.minor < left.minor);
  yield isOlder
    ? finding(
        'warn',
        'QEMU_VERSION',
        'the destination runs an older QEMU, which is rarely tested',
        here,
        there,
      )
    : finding('info', 'QEMU_VERSION', 'the QEMU versions differ', here, there);
}

function versionText({ version }: MachineDescription): string {
  return `${version.major}.${version.minor}.${version.micro}`;
}

function* processors(source: MachineDescription, destination: MachineDescription): Generator<Finding> {
  const here = source.cpu;
  const there = destination.cpu;
  if (here.model !== there.model) {
    yield finding('refuse', 'CPU_MODEL', 'the CPU models differ', here.model, there.model);
  }
  if (here.count !== there.count) {
    const text = 'the numbers of vCPUs differ';
    yield finding('refuse', 'CPU_COUNT', text, String(here.count), String(there.count));
  } else if (here.topology.join() !== there.topology.join()) {
    const text = 'the vCPUs are arranged in other sockets or cores';
    yield finding('warn', 'CPU_TOPOLOGY', text, here.topology.join(' '), there.topology.join(' '));
  }
  if (here.migratable === false) {
    const text = 'the CPU passes through features that QEMU does not migrate (migratable=off)';
    yield finding('warn', 'CPU_NOT_MIGRATABLE', text, here.model);
  }
  if (here.featureWords === null || there.featureWords === null) {
    if (here.count > 0) yield finding('info', 'NOT_COMPARED', 'QEMU does not list the CPU features');
    return;
  }
  const missing = featuresOnlyIn(here.featureWords, there.featureWords);
  const extra = featuresOnlyIn(there.featureWords, here.featureWords);
  if (missing.length > 0) {
    const text = `the destination's CPU lacks ${missing.length} features that the guest may use`;
    yield finding('refuse', 'CPU_FEATURES', text, shorten(missing), null);
  }
  if (extra.length > 0) {
    const text = `the destination's CPU has ${extra.length} features more, which the guest never saw`;
    yield finding('warn', 'CPU_FEATURES', text, null, shorten(extra));
  }
}

/** A block that QEMU maps from a device's own memory is never in the stream. */
const NOT_IN_STREAM = / mmaps\[/;

function* memory(
  source: readonly RamBlockFacts[] | null,
  destination: readonly RamBlockFacts[] | null,
): Generator<Finding> {
  if (source === null || destination === null) {
    yield finding('warn', 'NOT_COMPARED', 'QEMU does not list its RAM blocks (info ramblock)');
    return;
  }
  const there = new Map(destination.map((block) => [block.id, block]));
  for (const block of source) {
    const twin = there.get(block.id);
    there.delete(block.id);
    if (NOT_IN_STREAM.test(block.id)) continue;
    if (twin === undefined) {
      yield finding('refuse', 'RAM_BLOCKS', `the destination has no RAM block ${block.id}`, sizeText(block));
    } else if (twin.totalBytes !== block.totalBytes) {
      const text = `RAM block ${block.id} has another size`;
      yield finding('refuse', 'RAM_BLOCKS', text, sizeText(block), sizeText(twin));
    } else if (twin.pageSize !== block.pageSize) {
      const text = `RAM block ${block.id} has another page size`;
      yield finding('info', 'RAM_BLOCKS', text, block.pageSize, twin.pageSize);
    }
  }
  for (const block of there.values()) {
    const text = `only the destination has RAM block ${block.id}; it will stay as it is`;
    yield finding('warn', 'RAM_BLOCKS', text, null, sizeText(block));
  }
}

function sizeText(block: RamBlockFacts): string {
  return `${block.id} ${formatBytes(block.totalBytes)}`;
}

function* pciFunctions(
  source: readonly PciFunction[] | null,
  destination: readonly PciFunction[] | null,
): Generator<Finding> {
  // A machine without PCI has nothing to compare here; the device tree covers it.
  if (source === null || destination === null) return;
  const there = new Map(destination.map((device) => [device.address, device]));
  // Before its firmware has run, a machine does not tell; the device tree is compared, and QEMU compares the
  // places of devices when it loads them.
  const hidden = [...source, ...destination].filter(({ hides }) => hides).map(({ address }) => `${address}/`);
  const isHidden = ({ address }: PciFunction) => hidden.some((bridge) => address.startsWith(bridge));
  for (const device of source.filter((one) => !isHidden(one))) {
    const twin = there.get(device.address);
    there.delete(device.address);
    const text = `PCI ${device.address} differs`;
    if (twin === undefined) {
      yield finding(
        'refuse',
        'PCI_DEVICE',
        `the destination has no PCI device ${device.address}`,
        pciText(device),
      );
    } else if (device.ids !== twin.ids || device.bars !== twin.bars) {
      yield finding('refuse', 'PCI_DEVICE', text, pciText(device), pciText(twin));
    } else if (device.deviceId !== twin.deviceId) {
      const named = `PCI ${device.address} has another id, which QEMU does not compare`;
      yield finding('info', 'PCI_DEVICE', named, device.deviceId, twin.deviceId);
    }
  }
  for (const device of [...there.values()].filter((one) => !isHidden(one))) {
    const text = `only the destination has PCI device ${device.address}`;
    yield finding('refuse', 'PCI_DEVICE', text, null, pciText(device));
  }
}

function pciText(device: PciFunction): string {
  return `${device.deviceId || 'no id'} ${device.ids} bars ${device.bars || 'none'}`;
}

/** Everything on every bus: serial ports, disks, hubs and what else has a state to load. */
function* deviceTree(source: MachineDescription, destination: MachineDescription): Generator<Finding> {
  if (source.devices === null || destination.devices === null) {
    yield finding('warn', 'NOT_COMPARED', 'QEMU does not list its devices (info qtree)');
    return;
  }
  const missing = minus(source.devices, destination.devices);
  const extra = minus(destination.devices, source.devices);
  if (missing.length === 0 && extra.length === 0) return;
  // Another QEMU may arrange the same board in other internal devices.
  const isSameQemu = versionText(source) === versionText(destination);
  const text = `the devices differ: ${missing.length} only at the source, ${extra.length} only at the destination`;
  yield finding(isSameQemu ? 'refuse' : 'warn', 'DEVICES', text, shorten(missing), shorten(extra));
}

/**
 * Devices whose state goes over in passes beside RAM (QEMU: save_live_iterate), in a form of their drivers'.
 */
const ITERATING = /^vfio-/;

function* iterating({ devices }: MachineDescription): Generator<Finding> {
  const found = new Set((devices ?? []).map((path) => path.split('/').at(-1)!));
  for (const device of found) {
    if (!ITERATING.test(device)) continue;
    const text = `the state of ${device} moves in passes beside RAM, and the gateway cannot tell where they end; unplug it`;
    yield finding('refuse', 'ITERATING_STATE', text, device);
  }
}

/** Multiset difference of two sorted lists. */
function minus(one: readonly string[], other: readonly string[]): readonly string[] {
  const left = new Map<string, number>();
  for (const word of other) left.set(word, (left.get(word) ?? 0) + 1);
  return one.filter((word) => {
    const count = left.get(word) ?? 0;
    left.set(word, count - 1);
    return count <= 0;
  });
}
