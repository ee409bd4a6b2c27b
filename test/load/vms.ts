/**
 * A source whose guest works and a destination that waits, on this host. Not responsible for moving the VM.
 */

import { join } from 'node:path';
import { MIB } from '../../src/base/index.ts';
import {
  GUEST_BINARY_PATH,
  type GuestOptions,
  guestCommandLine,
  makeRunFolder,
  parseGuestLine,
  removeRunFolder,
  startVm,
  type Vm,
} from '../../src/lab/index.ts';

const READY_TIMEOUT_MS = 300_000;

export interface Vms {
  readonly folder: string;
  readonly source: Vm;
  readonly destination: Vm;
  close(): Promise<void>;
}

export async function openVms(memoryMib: number, guest: Partial<GuestOptions>): Promise<Vms> {
  const folder = makeRunFolder();
  const started: Vm[] = [];
  const close = async () => {
    await Promise.all(started.map((vm) => vm.close()));
    removeRunFolder(folder);
  };
  const start = async (name: string, incoming: boolean) => {
    const vm = await startVm({
      name,
      folder,
      memoryBytes: memoryMib * MIB,
      kernel: GUEST_BINARY_PATH,
      commandLine: guestCommandLine(guest),
      incoming,
    });
    started.push(vm);
    return vm;
  };
  try {
    const source = await start('source', false);
    await source.serial.waitFor((text) => parseGuestLine(text).kind === 'ready', {
      timeoutMs: READY_TIMEOUT_MS,
      what: 'ready guest',
    });
    return { folder, source, destination: await start('destination', true), close };
  } catch (error) {
    await close();
    throw error;
  }
}

export function stateFolderOf({ folder }: Vms): string {
  return join(folder, 'state');
}
