/**
 * A pair of lab VMs on two hosts: the source boots the bare guest and runs its workload, the destination
 * waits. Not responsible for moving the VM, nor for choosing sizes and workloads (plans, the caller).
 */

import { join } from 'node:path';
import { MIB } from '../../base/index.ts';
import { labError } from '../errors.ts';
import {
  GUEST_BINARY_PATH,
  GUEST_DEFAULTS,
  type GuestOptions,
  type GuestReady,
  type GuestVerification,
  guestCommandLine,
  parseGuestLine,
} from '../guest/index.ts';
import type { Network } from '../network/network.ts';
import type { Pair } from '../run/move.ts';
import { type CorePlan, corePlan } from './pinning.ts';
import { makeRunFolder, removeRunFolder, runCommand } from './processes.ts';
import type { SerialPort } from './serial.ts';
import { type Accelerator, SMALL_MEMORY_BYTES, startVm, type Vm } from './vm.ts';

export interface PairOptions {
  readonly network: Network;
  /** Default 256 MiB. */
  readonly memoryBytes?: number;
  readonly guest?: Partial<GuestOptions>;
  readonly machine?: string;
  readonly accelerator?: Accelerator;
  /** A qcow2 image that both ends share; the guest then writes its sequenced log to it. Default none. */
  readonly disk?: 'none' | 'plain' | 'iothread';
  readonly furnished?: boolean;
  /** `-S` at the destination. Default false. */
  readonly destinationPaused?: boolean;
  /** Default: `corePlan()`. */
  readonly cores?: CorePlan | null;
  readonly extra?: readonly string[];
}

export interface LabPair extends Pair {
  readonly guest: GuestOptions;
  readonly ready: GuestReady;
  readonly memoryBytes: number;
  /** The shared image; null where there is none. */
  readonly image: string | null;
  /** Private; gateways may put their sockets here. */
  readonly folder: string;
  /** From the source's start to its guest's workload running. */
  readonly bootMs: number;
  close(): Promise<void>;
}

const READY_TIMEOUT_MS = 120_000;
const VERIFY_TIMEOUT_MS = 300_000;
const IMAGE_BYTES = 64 * MIB;
/** Larger guests would keep a small machine from running both ends. */
const PREALLOCATED_BYTES_MAX = 1024 * MIB;

/** Boots both ends. The caller closes the network; the pair closes itself if it cannot be completed. */
export async function openPair(options: PairOptions): Promise<LabPair> {
  const folder = makeRunFolder();
  const vms: Vm[] = [];
  const close = async () => {
    await Promise.all(vms.map((vm) => vm.close()));
    removeRunFolder(folder);
  };
  try {
    const image = await makeImage(options, folder);
    const guest = { ...GUEST_DEFAULTS, ...options.guest, disk: image !== null };
    const memoryBytes = options.memoryBytes ?? SMALL_MEMORY_BYTES;
    const common = {
      ...(options.machine === undefined ? {} : { machine: options.machine }),
      ...(options.accelerator === undefined ? {} : { accelerator: options.accelerator }),
      memoryBytes,
      preallocated: memoryBytes <= PREALLOCATED_BYTES_MAX,
      kernel: GUEST_BINARY_PATH,
      commandLine: guestCommandLine(guest),
      disk: image === null ? null : { image, iothread: options.disk === 'iothread' },
      furnished: options.furnished ?? false,
      extra: options.extra ?? [],
      folder,
      cores: options.cores === undefined ? corePlan() : options.cores,
    };
    const startedAtMs = performance.now();
    const source = await startVm({ ...common, name: 'source', host: options.network.source });
    vms.push(source);
    const ready = await waitReady(source.serial);
    const bootMs = performance.now() - startedAtMs;
    const destination = await startVm({
      ...common,
      name: 'destination',
      host: options.network.destination,
      incoming: true,
      paused: options.destinationPaused ?? false,
    });
    vms.push(destination);
    const { network } = options;
    return {
      source,
      destination,
      network,
      beatMs: guest.beatMs,
      guest,
      ready,
      memoryBytes,
      image,
      folder,
      bootMs,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function makeImage(options: PairOptions, folder: string): Promise<string | null> {
  if ((options.disk ?? 'none') === 'none') return null;
  const image = join(folder, 'disk.qcow2');
  await runCommand(['qemu-img', 'create', '-q', '-f', 'qcow2', image, String(IMAGE_BYTES)]);
  return image;
}

async function waitReady(serial: SerialPort): Promise<GuestReady> {
  const line = await serial.waitFor((text) => ['ready', 'error'].includes(parseGuestLine(text).kind), {
    timeoutMs: READY_TIMEOUT_MS,
    what: 'ready guest',
  });
  const parsed = parseGuestLine(line.text);
  if (parsed.kind === 'ready') return parsed;
  throw labError('LAB_VM_FAILED', `the guest refused to start: ${line.text}`);
}

/** Has the guest stop its workload and check every page of its memory. */
export async function verifyGuest(vm: Vm): Promise<GuestVerification> {
  const from = vm.serial.lines.length;
  vm.serial.send('verify\n');
  const line = await vm.serial.waitFor((text) => parseGuestLine(text).kind === 'verification', {
    timeoutMs: VERIFY_TIMEOUT_MS,
    what: 'verification',
    from,
  });
  const parsed = parseGuestLine(line.text);
  if (parsed.kind !== 'verification') throw labError('LAB_VM_FAILED', `no verification: ${line.text}`);
  return parsed;
}
