/**
 * Devices that came or went since the start. One that came is written out from what QEMU says of it, with
 * what is behind it where that can be told. Whatever is missed here is found by the comparison of both ends.
 */

import type { Argument } from './arguments.ts';
import type { Context } from './context.ts';
import type { PresentDevice, Scalar } from './types.ts';
import { parseValue, type Value } from './values.ts';

export function rewriteDevices(all: readonly Argument[], context: Context): Argument[] {
  const { devices } = context.source;
  const idOf = ({ flag, value }: Argument) =>
    flag === 'device' && value !== null ? parseValue(value, 'driver').get('id') : null;
  const wasThere = new Set(all.map(idOf).filter((id) => id !== null));
  const isThere = new Map(devices.map((device) => [device.id, device]));
  const gone = [...wasThere].filter((id) => !isThere.has(id));
  for (const id of gone) context.info(`-device ${id}: it was unplugged since the start`);
  const kept = all.filter((argument) => !gone.includes(idOf(argument) ?? ''));
  const placed = gone.length === 0 ? kept : kept.map((argument) => pinned(argument, isThere));
  const plugged = devices.filter(({ id }) => !wasThere.has(id));
  return [...placed, ...plugged.flatMap((device) => plug(device, placed, context))];
}

/** Where a device is gone, QEMU would give its slot to the next one. */
function pinned(argument: Argument, isThere: ReadonlyMap<string, PresentDevice>): Argument {
  if (argument.flag !== 'device' || argument.value === null) return argument;
  const value = parseValue(argument.value, 'driver');
  const device = isThere.get(value.get('id') ?? '');
  const address = device === undefined ? null : addressOf(device);
  if (address === null || value.get('addr') !== null) return argument;
  return { flag: 'device', value: value.set('addr', address).text };
}

/** PCI's as `slot.function`; a DIMM's is a number of bytes. */
function addressOf({ bus, properties: { addr } }: PresentDevice): string | null {
  if (bus === null || typeof addr !== 'number' || addr < 0) return null;
  return `${(addr >> 3).toString(16)}.${addr & 7}`;
}

/** Read-only, the host's own, or worked out by QEMU from the others. */
const NOT_SET: ReadonlySet<string> = new Set([
  ...['busnr', 'romfile', 'romsize', 'size', 'cyls', 'heads', 'secs', 'addr', 'apic-id', 'hotplugged'],
]);
const CPU_PLACE = /^(socket|die|module|cluster|core|thread|node|book|drawer)-id$/;

function plug(device: PresentDevice, all: readonly Argument[], context: Context): Argument[] {
  const isCpu = device.type.endsWith('-cpu');
  const words = Object.entries(device.properties).filter(([name, value]) =>
    isCpu ? CPU_PLACE.test(name) && value !== -1 : !NOT_SET.has(name) && value !== '' && value !== -1,
  );
  const address = addressOf(device) ?? (device.bus === null ? (device.properties['addr'] ?? null) : null);
  const named: readonly (readonly [string, Scalar])[] = [
    ['id', device.id],
    ...(device.bus === null ? [] : [['bus', device.bus] as const]),
    ...(address === null || isCpu ? [] : [['addr', address] as const]),
    ...words,
  ];
  let value: Value = parseValue(device.type, 'driver');
  for (const [name, scalar] of named) value = value.set(name, wordOf(scalar));
  context.info(`-device ${device.id} (${device.type}): it was plugged in since the start`);
  return [...behind(device, all, context), { flag: 'device', value: value.text }];
}

function wordOf(value: Scalar): string {
  return typeof value === 'boolean' ? (value ? 'on' : 'off') : String(value);
}

/** What the device needs and the command line does not have. */
function behind({ id, properties }: PresentDevice, all: readonly Argument[], context: Context): Argument[] {
  const has = (flag: string, key: string, implied: string, name: string) =>
    all.some(
      (one) => one.flag === flag && one.value !== null && parseValue(one.value, implied).get(key) === name,
    );
  const missing: Argument[] = [];
  for (const [property, name] of Object.entries(properties)) {
    if (typeof name !== 'string' || name === '') continue;
    if (
      property === 'drive' &&
      !has('blockdev', 'node-name', 'driver', name) &&
      !has('drive', 'id', 'file', name)
    ) {
      missing.push(...nodeOf(name, id, context));
    } else if (OBJECTS.has(property) && !has('object', 'id', 'qom-type', name)) {
      missing.push(...objectOf(name, id, context));
    } else if (property === 'netdev' && !has('netdev', 'id', 'type', name)) {
      context.refuse(`-device ${id}: QEMU does not tell how its network ${name} was made since the start`);
    } else if (property === 'chardev' && !has('chardev', 'id', 'backend', name)) {
      context.refuse(
        `-device ${id}: QEMU does not tell how its character device ${name} was made since the start`,
      );
    }
  }
  return missing;
}

const OBJECTS: ReadonlySet<string> = new Set(['memdev', 'iothread', 'rng']);
/** Properties by which such an object is made again; others keep secrets or hold files. */
const MADE_AGAIN: Readonly<Record<string, readonly string[]>> = {
  'memory-backend-ram': ['size', 'share'],
  'memory-backend-memfd': ['size', 'share', 'hugetlb'],
  iothread: [],
  'rng-builtin': [],
  'rng-random': ['filename'],
};

function objectOf(name: string, device: string, context: Context): Argument[] {
  const found = context.source.objects.find((one) => one.id === name);
  const names = found === undefined ? undefined : MADE_AGAIN[found.type];
  if (found === undefined || names === undefined) {
    context.refuse(`-device ${device}: its object ${name} was made since the start and cannot be made again`);
    return [];
  }
  let value = parseValue(found.type, 'qom-type').set('id', name);
  for (const property of names) {
    const is = found.properties[property];
    if (is !== undefined) value = value.set(property, wordOf(is));
  }
  return [{ flag: 'object', value: value.text }];
}

function nodeOf(name: string, device: string, context: Context): Argument[] {
  const node = context.source.nodes.find((one) => one.name === name);
  const path = node?.file ?? '';
  if (node === undefined || name.startsWith('#') || !/^[^:]*\//.test(path)) {
    context.refuse(`-device ${device}: how its disk ${path || name} was opened since the start is not known`);
    return [];
  }
  const driver = path.startsWith('/dev/') && !path.startsWith('/dev/shm/') ? 'host_device' : 'file';
  const file = { driver, filename: context.names.map(path) };
  const options = { 'node-name': name, 'read-only': node.isReadOnly };
  const whole = node.driver === driver ? { ...options, ...file } : { driver: node.driver, ...options, file };
  return [{ flag: 'blockdev', value: JSON.stringify(whole) }];
}
