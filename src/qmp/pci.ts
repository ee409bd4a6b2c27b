/**
 * The guest's PCI tree as query-pci tells it. Not responsible for comparing two of them
 * (compare-hardware.ts).
 */

import { z } from 'zod';
import type { QmpExecutor } from './client.ts';
import { ask } from './reply.ts';

export interface PciFunction {
  /**
   * Slot and function on the root bus (with its number where that is not the first one), a device behind a
   * bridge as BRIDGE/slot.function: bus numbers are the firmware's choice.
   */
  readonly address: string;
  /** vendor:device and the subsystem's pair, hexadecimal. */
  readonly ids: string;
  /** The `id=` of -device; empty for on-board devices. */
  readonly deviceId: string;
  /** Index:type:size of each base address register; QEMU refuses a stream whose BARs differ. */
  readonly bars: string;
  /** A bridge that the guest's firmware has not numbered yet: QEMU does not list what is behind it. */
  readonly hides: boolean;
}

interface RawFunction {
  readonly bus: number;
  readonly slot: number;
  readonly function: number;
  readonly qdev_id: string;
  readonly id: {
    readonly vendor: number;
    readonly device: number;
    readonly subsystem?: number | undefined;
    readonly 'subsystem-vendor'?: number | undefined;
  };
  readonly regions: readonly { readonly bar: number; readonly type: string; readonly size: number }[];
  readonly pci_bridge?: { readonly devices?: readonly RawFunction[] | undefined } | undefined;
}

const functionSchema: z.ZodType<RawFunction> = z.lazy(() =>
  z.object({
    bus: z.number(),
    slot: z.number(),
    function: z.number(),
    qdev_id: z.string(),
    id: z.object({
      vendor: z.number(),
      device: z.number(),
      subsystem: z.number().optional(),
      'subsystem-vendor': z.number().optional(),
    }),
    regions: z.array(z.object({ bar: z.number(), type: z.string(), size: z.number() })),
    pci_bridge: z.object({ devices: z.array(functionSchema).optional() }).optional(),
  }),
);

const pciSchema = z.array(z.object({ bus: z.number(), devices: z.array(functionSchema) }));

export async function queryPci(qemu: QmpExecutor): Promise<readonly PciFunction[]> {
  const roots = await ask(qemu, pciSchema, 'query-pci');
  return roots.flatMap(({ bus, devices }) => devices.flatMap((device) => flatten(device, rootOf(bus))));
}

/** A further root bus (pxb, pxb-pcie, pxb-cxl) has the number that its command line gave it. */
function rootOf(bus: number): string {
  return bus === 0 ? '' : `${hex(bus, 2)}:`;
}

/** A device behind a bridge is placed by its bridge, not by the bus number. */
function flatten(device: RawFunction, parent: string): PciFunction[] {
  const place = `${parent}${hex(device.slot, 2)}.${device.function}`;
  const { vendor, device: model, subsystem = 0, 'subsystem-vendor': subsystemVendor = 0 } = device.id;
  const self: PciFunction = {
    address: place,
    ids: `${hex(vendor)}:${hex(model)}/${hex(subsystemVendor)}:${hex(subsystem)}`,
    deviceId: device.qdev_id,
    bars: device.regions.map(({ bar, type, size }) => `${bar}:${type}:${size}`).join(' '),
    hides: device.pci_bridge !== undefined && device.pci_bridge.devices === undefined,
  };
  const behind = device.pci_bridge?.devices ?? [];
  return [self, ...behind.flatMap((child) => flatten(child, `${place}/`))];
}

function hex(value: number, width = 4): string {
  return value.toString(16).padStart(width, '0');
}
