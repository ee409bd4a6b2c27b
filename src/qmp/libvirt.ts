/**
 * Tells VMs that libvirt runs from others. Not responsible for moving them: libvirt would not know that a VM
 * has moved.
 */

import { realpath } from 'node:fs/promises';
import type { CharacterDevice, QomProperty } from './commands-vm.ts';
import { libvirtError } from './errors.ts';

/** libvirt's state folders for the system and, below a home or /run/user, for a session. */
const LIBVIRT_FOLDER =
  /(^|\/)(var\/lib\/libvirt|run\/libvirt|\.config\/libvirt|\.cache\/libvirt|run\/user\/\d+\/libvirt)\//;

export function isLibvirtPath(path: string): boolean {
  return LIBVIRT_FOLDER.test(path);
}

/**
 * For use before connecting. Errors: QMP_LIBVIRT. Follows links; a path that does not exist is judged as
 * written.
 */
export async function refuseLibvirtSocket(path: string): Promise<void> {
  const real = await realpath(path).catch(() => path);
  if (isLibvirtPath(path) || isLibvirtPath(real)) throw libvirtError(path);
}

export interface LibvirtEvidence {
  readonly qmpPath: string;
  readonly chardevs: readonly CharacterDevice[];
  readonly objects: readonly QomProperty[];
}

/**
 * Why this VM is libvirt's, or null: a second QMP socket added by the user still has libvirt's own marks
 * beside it.
 */
export function libvirtReason(evidence: LibvirtEvidence): string | null {
  if (isLibvirtPath(evidence.qmpPath)) return `its QMP socket is ${evidence.qmpPath}`;
  const monitor = evidence.chardevs.find(({ label }) => label === 'charmonitor');
  if (monitor) return `it has libvirt's monitor (chardev charmonitor)`;
  const chardev = evidence.chardevs.find(({ filename }) => isLibvirtPath(filename));
  if (chardev) return `its chardev ${chardev.label} is ${chardev.filename}`;
  return evidence.objects.some(({ name }) => name === 'masterKey0')
    ? `it has libvirt's secret masterKey0`
    : null;
}
