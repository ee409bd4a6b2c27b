/**
 * A lab VM: one QEMU process with a guest kernel, its monitors and its serial port.
 * Not responsible for moving it (baseline.ts, a Migrator) nor for what the guest runs (src/lab/guest).
 */

import { accessSync, constants } from 'node:fs';
import { delimiter, join } from 'node:path';
import { MIB, sleep } from '../../base/index.ts';
import { connectQmp, type QmpClient, queryCpusFast } from '../../qmp/index.ts';

import { labError } from '../errors.ts';
import type { Host } from '../network/network.ts';
import { type CorePlan, pinnedCommand, pinThreads } from './pinning.ts';
import { type LabProcess, startProcess } from './processes.ts';
import { openSerialPort, type SerialPort } from './serial.ts';

export type Accelerator = 'tcg' | 'kvm';

/** What both ends of a migration share. */
export interface MachineOptions {
  /** `pc`, `q35` or a versioned type. Default `pc`. */
  readonly machine?: string;
  readonly accelerator?: Accelerator;
  readonly memoryBytes: number;
  /** Default 1. */
  readonly vcpus?: number;
  readonly kernel: string;
  /** The kernel's first root file system. */
  readonly initramfs?: string;
  readonly commandLine: string;
  readonly disk?: { readonly image: string; readonly iothread: boolean } | null;
  /**
   * Its memory is touched before it starts, as huge pages and `prealloc` do on KVM hosts; docs/lab.md says
   * why. Default false.
   */
  readonly preallocated?: boolean;
  /**
   * RAM in two backends of different kinds, VGA and a balloon: the devices and blocks that small VMs lack.
   */
  readonly furnished?: boolean;
  /** Further QEMU arguments, last. */
  readonly extra?: readonly string[];
}

export interface VmOptions extends MachineOptions {
  readonly name: string;
  /** For its sockets; short, because a unix socket's path has at most 107 bytes. */
  readonly folder: string;
  readonly host?: Host;
  /** Waits for `migrate-incoming`. */
  readonly incoming?: boolean;
  /** With `-S` the VM does not start by itself. */
  readonly paused?: boolean;
  readonly cores?: CorePlan | null;
}

export interface Vm {
  readonly name: string;
  readonly process: LabProcess;
  readonly qmp: QmpClient;
  /** A second monitor, free for whoever migrates the VM: a QMP socket serves one client at a time. */
  readonly controlPath: string;
  readonly serial: SerialPort;
  /** From the start of the process to the monitor's first answer. */
  readonly startMs: number;
  /** Kills it; safe to call again. */
  close(): Promise<void>;
}

export const SMALL_MEMORY_BYTES = 256 * MIB;

const MONITOR_TIMEOUT_MS = 20_000;
const MONITOR_POLL_MS = 10;

/** The QEMU to run: GODWIT_QEMU, else qemu-system-x86_64 from PATH. Errors: LAB_TOOL_MISSING. */
export function findQemu(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['GODWIT_QEMU'];
  const candidates = named
    ? [named]
    : (environment['PATH'] ?? '').split(delimiter).map((folder) => join(folder, 'qemu-system-x86_64'));
  const found = candidates.find(isExecutable);
  if (found !== undefined) return found;
  throw labError('LAB_TOOL_MISSING', `no QEMU: ${named ?? 'qemu-system-x86_64 is not on PATH'}`, {
    hint: 'npm start installs QEMU 10, or set GODWIT_QEMU to a qemu-system-x86_64',
  });
}

function isExecutable(path: string): boolean {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}

function memoryArguments(options: MachineOptions): string[] {
  const size = `${options.memoryBytes / MIB}M`;
  if (!options.furnished) return ['-m', size, ...(options.preallocated ? ['-mem-prealloc'] : [])];
  const half = `${options.memoryBytes / MIB / 2}M${options.preallocated ? ',prealloc=on' : ''}`;
  return [
    ...['-m', size],
    ...['-object', `memory-backend-ram,id=low,size=${half}`],
    ...['-object', `memory-backend-memfd,id=high,size=${half},share=on`],
    ...['-numa', 'node,memdev=low', '-numa', 'node,memdev=high'],
    ...['-vga', 'std', '-device', 'virtio-balloon-pci'],
  ];
}

function diskArguments(disk: MachineOptions['disk']): string[] {
  if (!disk) return [];
  const iothread = disk.iothread ? ',iothread=io0' : '';
  return [
    ...(disk.iothread ? ['-object', 'iothread,id=io0'] : []),
    ...['-blockdev', `driver=file,filename=${disk.image.replaceAll(',', ',,')},node-name=file0`],
    ...['-blockdev', 'driver=qcow2,file=file0,node-name=disk0'],
    ...['-device', `virtio-blk-pci,drive=disk0${iothread}`],
  ];
}

/** The whole command line, without the prefix that says where it runs. */
function qemuArguments(options: VmOptions, qemu: string): string[] {
  const at = (file: string) => join(options.folder, `${options.name}-${file}`).replaceAll(',', ',,');
  return [
    ...[qemu, '-name', options.name, '-nodefaults', '-no-user-config', '-display', 'none'],
    ...['-machine', options.machine ?? 'pc', '-accel', options.accelerator ?? 'tcg'],
    ...['-smp', `${options.vcpus ?? 1}`],
    ...memoryArguments(options),
    ...['-chardev', `socket,id=serial0,path=${at('serial.sock')}`, '-serial', 'chardev:serial0'],
    ...['-qmp', `unix:${at('qmp.sock')},server=on,wait=off`],
    ...['-qmp', `unix:${at('control.sock')},server=on,wait=off`],
    ...['-kernel', options.kernel, '-append', options.commandLine],
    ...(options.initramfs === undefined ? [] : ['-initrd', options.initramfs]),
    ...diskArguments(options.disk),
    ...(options.incoming ? ['-incoming', 'defer'] : []),
    ...(options.paused ? ['-S'] : []),
    ...(options.extra ?? []),
  ];
}

/**
 * Starts a VM and waits until its monitor answers. Errors: LAB_TOOL_MISSING, LAB_VM_FAILED with QEMU's
 * stderr.
 */
export async function startVm(options: VmOptions): Promise<Vm> {
  const startedAtMs = performance.now();
  const cores = options.host?.cores ?? options.cores ?? null;
  const argv = pinnedCommand(cores, qemuArguments(options, findQemu()));
  const serial = await openSerialPort(join(options.folder, `${options.name}-serial.sock`));
  const qemu = await startProcess(options.host ? options.host.command(argv) : argv);
  let qmp: QmpClient | null = null;
  const close = async () => {
    await qmp?.close();
    await qemu.kill();
    await serial.close();
  };
  try {
    qmp = await connectMonitor(join(options.folder, `${options.name}-qmp.sock`), qemu);
    if (cores) await pinVcpus(qmp, cores);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    name: options.name,
    process: qemu,
    qmp,
    controlPath: join(options.folder, `${options.name}-control.sock`),
    serial,
    startMs: performance.now() - startedAtMs,
    close,
  };
}

/** QEMU makes the socket some time after its start, or ends and says why on stderr. */
async function connectMonitor(path: string, qemu: LabProcess): Promise<QmpClient> {
  const deadlineMs = performance.now() + MONITOR_TIMEOUT_MS;
  for (;;) {
    try {
      return await connectQmp({ path });
    } catch (cause) {
      if (qemu.ending() !== null || performance.now() > deadlineMs) {
        const said = qemu.stderr().trim() || `it ended with ${qemu.ending() ?? 'no answer'}`;
        throw labError('LAB_VM_FAILED', `QEMU did not start: ${said}`, { cause });
      }
      await sleep(MONITOR_POLL_MS);
    }
  }
}

async function pinVcpus(qmp: QmpClient, cores: CorePlan): Promise<void> {
  const threads = (await queryCpusFast(qmp)).map((cpu) => cpu.threadId);
  await pinThreads(cores.vcpu, threads);
}
