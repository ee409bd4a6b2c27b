/** The reason why tests that boot a VM are skipped here; false where a QEMU is installed. */

import { findQemu } from './vm.ts';

export function qemuMissing(): string | false {
  try {
    findQemu();
    return false;
  } catch (error) {
    return String(error);
  }
}
