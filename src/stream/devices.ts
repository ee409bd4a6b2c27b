/**
 * Cuts the device sections apart with the help of the description, which names them in order. Not responsible
 * for the devices' fields: only headers and footers are read.
 */

import { parseSectionHeader } from './setup.ts';
import type { DeviceSection } from './types.ts';
import { Cursor, FOOTER_BYTES, latin1Bytes, readBe32, TAG, writeBe32 } from './wire.ts';

export interface DescribedDevice {
  readonly name: string;
  readonly instance: number;
}

/** Devices in the description's order, or null when the text is not one. */
export function describedDevices(text: Uint8Array): DescribedDevice[] | null {
  let value: unknown;
  try {
    value = JSON.parse(Buffer.from(text.buffer, text.byteOffset, text.byteLength).toString('latin1'));
  } catch {
    return null;
  }
  if (value === null || typeof value !== 'object' || !('devices' in value) || !Array.isArray(value.devices))
    return null;
  const devices: DescribedDevice[] = [];
  for (const device of value.devices) {
    if (device === null || typeof device !== 'object') return null;
    const { name, instance_id: instance } = device as { name?: unknown; instance_id?: unknown };
    if (typeof name !== 'string' || typeof instance !== 'number') return null;
    // QEMU prints the instance with a sign.
    devices.push({ name, instance: instance >>> 0 });
  }
  return devices;
}

/** Null when the bytes do not hold exactly the described sections. `early` of them were sent before RAM. */
export function splitDevices(
  bytes: Uint8Array,
  described: readonly DescribedDevice[],
  footers: boolean,
  early: number,
): DeviceSection[] | null {
  const expected = described.slice(early);
  const sections: DeviceSection[] = [];
  const all = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  for (const [index, device] of expected.entries()) {
    const cursor = new Cursor(bytes, at + 1, bytes.length);
    const header = parseSectionHeader(cursor);
    if (cursor.short || bytes[at] !== TAG.full || header.name !== device.name) return null;
    if (header.instance !== device.instance) return null;
    const next = expected[index + 1];
    const end = next ? findHeader(all, cursor.at, next, footers ? header.sectionId : null) : bytes.length;
    if (end < 0) return null;
    sections.push({ ...header, sizeBytes: end - at });
    at = end;
  }
  if (at !== bytes.length) return null;
  return footers && sections.length > 0 && !endsInFooter(bytes, sections.at(-1)!.sectionId) ? null : sections;
}

/**
 * Where the section header of `device` begins, which follows the footer of `footerOf`
 * where there are footers.
 */
function findHeader(bytes: Buffer, from: number, device: DescribedDevice, footerOf: number | null): number {
  // str8 name and be32 instance: what of a header is known beforehand.
  const known = Buffer.alloc(1 + device.name.length + 4);
  known[0] = device.name.length;
  known.set(latin1Bytes(device.name), 1);
  writeBe32(known, known.length - 4, device.instance);
  for (let found = bytes.indexOf(known, from); found >= 0; found = bytes.indexOf(known, found + 1)) {
    const start = found - 5;
    if (start < from || bytes[start] !== TAG.full) continue;
    if (footerOf === null || endsInFooter(bytes.subarray(0, start), footerOf)) return start;
  }
  return -1;
}

function endsInFooter(bytes: Uint8Array, sectionId: number): boolean {
  const at = bytes.length - FOOTER_BYTES;
  return at >= 0 && bytes[at] === TAG.footer && readBe32(bytes, at + 1) === sectionId;
}
