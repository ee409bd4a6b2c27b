/**
 * A pair of VMs with the Linux guest: the source runs the saved guest, which is made first where there is
 * none, and the destination waits. Not responsible for moving it, nor for the clients.
 */

import { existsSync } from 'node:fs';
import { MIB, sleep } from '../../base/index.ts';
import { cont } from '../../qmp/index.ts';
import { labError } from '../errors.ts';
import { parseGuestLine } from '../guest/index.ts';
import { type CorePlan, corePlan } from '../machine/pinning.ts';
import { makeRunFolder, removeRunFolder, runCommand } from '../machine/processes.ts';
import { type Accelerator, findQemu, startVm, type Vm, type VmOptions } from '../machine/vm.ts';
import type { Network } from '../network/network.ts';
import type { Pair } from '../run/move.ts';
import { CLIENT_HABITS, startClients } from './clients.ts';
import { buildLinuxImage, type LinuxImage } from './image.ts';
import { type FilesVerification, parseLinuxLine } from './parse.ts';
import {
  LINUX_GUEST_DEFAULTS,
  type LinuxGuestOptions,
  linuxCommandLine,
  PROGRAM_RECIPES,
} from './programs.ts';
import { loadGuest, savedGuestPath, saveGuest } from './snapshot.ts';
import { openUserNetwork, UNPLUGGED_CARD, type UserNetwork } from './user-network.ts';

export interface LinuxPairOptions {
  readonly network: Network;
  readonly guest: Partial<LinuxGuestOptions> & Pick<LinuxGuestOptions, 'program'>;
  /** Default 512 MiB. */
  readonly memoryBytes?: number;
  /** Default 1. */
  readonly vcpus?: number;
  /** Default `q35`. */
  readonly machine?: string;
  readonly accelerator?: Accelerator;
  /** How long the guest and its clients work before it is saved. Default 4 s. */
  readonly warmUpMs?: number;
  /** `-S` at the destination. Default false. */
  readonly destinationPaused?: boolean;
  /** Default: `corePlan()`. */
  readonly cores?: CorePlan | null;
}

export interface LinuxPair extends Pair {
  readonly guest: LinuxGuestOptions;
  readonly commandLine: string;
  readonly memoryBytes: number;
  readonly imageKey: string;
  /** Private; gateways may put their sockets here. */
  readonly folder: string;
  /** From the start of the source's QEMU to the loaded guest's first beat. */
  readonly bootMs: number;
  /** From the start of QEMU to the guest's program running; null where the saved guest was there already. */
  readonly freshBootMs: number | null;
  /** Null where clients cannot reach the guest. */
  readonly users: UserNetwork | null;
  close(): Promise<void>;
}

export const LINUX_MEMORY_BYTES = 512 * MIB;
const WARM_UP_MS = 4000;
const READY_TIMEOUT_MS = 120_000;
const BEAT_TIMEOUT_MS = 10_000;
const VERIFY_TIMEOUT_MS = 120_000;
const PREALLOCATED_BYTES_MAX = 1024 * MIB;

type Common = Omit<VmOptions, 'name' | 'folder' | 'host'>;

/** Errors: LAB_PACKAGES, LAB_TOOL_MISSING, LAB_VM_FAILED. */
export async function openLinuxPair(options: LinuxPairOptions): Promise<LinuxPair> {
  const guest = { ...LINUX_GUEST_DEFAULTS, ...options.guest };
  const image = await buildLinuxImage(guest.program);
  const memoryBytes = options.memoryBytes ?? LINUX_MEMORY_BYTES;
  const commandLine = linuxCommandLine(guest);
  const common: Common = {
    machine: options.machine ?? 'q35',
    accelerator: options.accelerator ?? 'tcg',
    memoryBytes,
    vcpus: options.vcpus ?? 1,
    preallocated: memoryBytes <= PREALLOCATED_BYTES_MAX,
    kernel: image.kernelPath,
    initramfs: image.initramfsPath,
    commandLine,
    cores: options.cores === undefined ? corePlan() : options.cores,
  };
  const opening = new Opening(options, common, image);
  try {
    await opening.open(PROGRAM_RECIPES[guest.program].port !== null);
    return { ...opening.ends(), guest, commandLine, memoryBytes, imageKey: image.key, beatMs: guest.beatMs };
  } catch (error) {
    await opening.close();
    throw error;
  }
}

/** What has been opened so far, so that a failure closes it. */
class Opening {
  readonly #options: LinuxPairOptions;
  readonly #common: Common;
  readonly #image: LinuxImage;
  readonly #folder = makeRunFolder();
  readonly #vms: Vm[] = [];
  #users: UserNetwork | null = null;
  #bootMs = 0;
  #freshBootMs: number | null = null;

  constructor(options: LinuxPairOptions, common: Common, image: LinuxImage) {
    this.#options = options;
    this.#common = common;
    this.#image = image;
  }

  async open(needsClients: boolean): Promise<void> {
    const { network } = this.#options;
    this.#users = network.kind === 'namespaces' ? await openUserNetwork(network) : null;
    if (needsClients && this.#users === null) {
      throw labError('LAB_TOOL_MISSING', `clients cannot reach this guest: ${network.note}`, {
        hint: 'run the lab as root, with ip and nsenter',
      });
    }
    const saved = await this.#savedGuest();
    const startedAtMs = performance.now();
    const source = await this.#start('source', { incoming: true, paused: true });
    await loadGuest(source, saved);
    const from = source.serial.lines.length;
    await cont(source.qmp);
    await source.serial.waitFor(isBeat, {
      timeoutMs: BEAT_TIMEOUT_MS,
      what: 'beat of the loaded guest',
      from,
    });
    this.#bootMs = performance.now() - startedAtMs;
    const paused = this.#options.destinationPaused ?? false;
    await this.#start('destination', { incoming: true, paused });
  }

  ends() {
    const [source, destination] = this.#vms as [Vm, Vm];
    return {
      source,
      destination,
      network: this.#options.network,
      folder: this.#folder,
      bootMs: this.#bootMs,
      freshBootMs: this.#freshBootMs,
      users: this.#users,
      close: () => this.close(),
    };
  }

  async close(): Promise<void> {
    await Promise.all(this.#vms.map((vm) => vm.close()));
    await this.#users?.close();
    removeRunFolder(this.#folder);
  }

  async #start(end: 'source' | 'destination', more: Partial<VmOptions>): Promise<Vm> {
    const { network } = this.#options;
    const card = this.#users?.cardArguments(end) ?? UNPLUGGED_CARD;
    const host = network[end];
    const vm = await startVm({
      ...this.#common,
      ...more,
      name: end,
      folder: this.#folder,
      host,
      extra: card,
    });
    this.#vms.push(vm);
    await this.#users?.plug(end);
    return vm;
  }

  async #savedGuest(): Promise<string> {
    const { machine, memoryBytes, vcpus, accelerator, commandLine } = this.#common;
    const warmUpMs = this.#options.warmUpMs ?? WARM_UP_MS;
    const qemu = (await runCommand([findQemu(), '--version'])).trim();
    const path = savedGuestPath([
      ...[this.#image.key, qemu, machine, memoryBytes, vcpus, accelerator, commandLine, warmUpMs],
      CLIENT_HABITS[this.#options.guest.program] ?? null,
    ]);
    if (existsSync(path)) return path;
    const startedAtMs = performance.now();
    const vm = await this.#start('source', {});
    const isReady = (text: string) => parseLinuxLine(text)?.kind === 'ready';
    await vm.serial.waitFor(isReady, { timeoutMs: READY_TIMEOUT_MS, what: 'ready guest' });
    this.#freshBootMs = performance.now() - startedAtMs;
    const clients = await startClients(this.#options.guest.program, this.#users);
    await sleep(warmUpMs);
    await clients?.stop();
    await saveGuest(vm, path);
    this.#vms.pop();
    await vm.close();
    return path;
  }
}

function isBeat(text: string): boolean {
  return parseGuestLine(text).kind === 'heartbeat';
}

/** Has the guest read every file of its image again. */
export async function verifyFiles(
  vm: Vm,
): Promise<FilesVerification & { readonly complaints: readonly string[] }> {
  const from = vm.serial.lines.length;
  vm.serial.send('verify\n');
  const isVerdict = (text: string) => parseLinuxLine(text)?.kind === 'verified';
  const what = 'verification of files';
  const line = await vm.serial.waitFor(isVerdict, { timeoutMs: VERIFY_TIMEOUT_MS, what, from });
  const parsed = parseLinuxLine(line.text);
  if (parsed?.kind !== 'verified') throw labError('LAB_VM_FAILED', `no verification: ${line.text}`);
  const complaints = vm.serial.lines.slice(from).flatMap(({ text }) => {
    const said = parseLinuxLine(text);
    return said?.kind === 'complaint' ? [said.text] : [];
  });
  return { ...parsed, complaints };
}
