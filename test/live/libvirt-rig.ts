/**
 * Two libvirt daemons on one machine, without systemd: each with its own run, state, log and configuration
 * folders, host UUID, network and processes, in namespaces whose end ends everything inside. Not responsible
 * for what is asked of them.
 */

import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { sleep } from '../../src/base/index.ts';
import { connectLibvirt, type LibvirtClient } from '../../src/libvirt/index.ts';

const START_MS = 30_000;
const POLL_MS = 100;

/**
 * GODWIT_LIBVIRT_ROOT: another libvirt, its packages unpacked there (`dpkg -x`: libvirt-daemon,
 * libvirt-daemon-driver-qemu, libvirt0 and what they lack here), so that versions can be tried side by side.
 */
const ROOT = process.env['GODWIT_LIBVIRT_ROOT'] ?? null;
const LIBRARIES = `${ROOT}/usr/lib/x86_64-linux-gnu`;
const DAEMON =
  ROOT === null
    ? { path: 'libvirtd', environment: {} }
    : {
        path: `${ROOT}/usr/sbin/libvirtd`,
        environment: {
          LD_LIBRARY_PATH: LIBRARIES,
          LIBVIRT_DRIVER_DIR: `${LIBRARIES}/libvirt/connection-driver`,
        },
      };

/** The reason why libvirt cannot be tried here, or false. */
export function libvirtMissing(): string | false {
  if (process.getuid?.() !== 0) return 'libvirt daemons in namespaces need root';
  for (const tool of [DAEMON.path, 'qemu-system-x86_64', 'unshare', 'setpriv']) {
    if (spawnSync('sh', ['-c', `command -v ${tool}`]).status !== 0) {
      return `${tool} is not installed (Debian: apt-get install libvirt-daemon libvirt-daemon-driver-qemu)`;
    }
  }
  return false;
}

export interface LibvirtHost {
  readonly uri: string;
  /** Of this host alone: inside, /run/libvirt. */
  readonly runFolder: string;
  connect(): Promise<LibvirtClient>;
  /** Of its daemon (`libvirtd`) or of its QEMUs (`qemu-system-x86`: the system cuts names). */
  processIds(name: 'libvirtd' | 'qemu-system-x86'): number[];
  /** Ends the daemon and every QEMU that it has started. */
  close(): Promise<void>;
}

/** libvirt finds its folders at fixed places, so each host gets its own there. */
const FOLDERS: readonly (readonly [string, string])[] = [
  ['run', '/run/libvirt'],
  ['lib', '/var/lib/libvirt'],
  ['log', '/var/log/libvirt'],
  ['cache', '/var/cache/libvirt'],
  ['etc', '/etc/libvirt'],
];

export async function startLibvirtHost(folder: string): Promise<LibvirtHost> {
  for (const [name, place] of FOLDERS) {
    mkdirSync(path.join(folder, name), { recursive: true });
    mkdirSync(place, { recursive: true });
  }
  const etc = path.join(folder, 'etc');
  cpSync('/etc/libvirt', etc, { recursive: true, verbatimSymlinks: true });
  writeFileSync(path.join(etc, 'libvirtd.conf'), daemonConfiguration());
  writeFileSync(path.join(etc, 'qemu.conf'), QEMU_CONFIGURATION);
  const mounts = FOLDERS.map(([name, place]) => `mount --bind ${path.join(folder, name)} ${place}`);
  // The shell stays the namespace's first process: it reaps the QEMUs that daemonize, whose end libvirt waits
  // for, and starts a daemon that was killed again.
  const started = `while :; do ${DAEMON.path} --pid-file /run/libvirt/libvirtd.pid || true; done`;
  const script = [...mounts, 'ip link set lo up || true', started].join('\n');
  // Ends with us however we end; and with it, the namespace's first process and everything in it.
  const argv = [
    '--pdeathsig',
    'KILL',
    'unshare',
    '--mount',
    '--net',
    '--pid',
    '--fork',
    '--kill-child',
    '--mount-proc',
    'sh',
    '-ec',
    script,
  ];
  const daemon = spawn('setpriv', argv, {
    stdio: ['ignore', 'ignore', 'pipe'],
    env: { ...process.env, ...DAEMON.environment },
  });
  let said = '';
  daemon.stderr.on('data', (text) => {
    said = (said + text).slice(-4096);
  });
  const runFolder = path.join(folder, 'run');
  const uri = `qemu+unix:///system?socket=${path.join(runFolder, 'libvirt-sock')}`;
  const host: LibvirtHost = {
    ...{ uri, runFolder },
    connect: () => connectLibvirt({ uri }),
    processIds: (name) => descendantsOf(daemon.pid!).filter((pid) => nameOf(pid) === name),
    close: () => ended(daemon),
  };
  const deadlineMs = performance.now() + START_MS;
  for (;;) {
    try {
      await (await host.connect()).close();
      return host;
    } catch (error) {
      if (daemon.exitCode !== null || performance.now() > deadlineMs) {
        await host.close();
        throw new Error(`libvirtd does not answer: ${said}`, { cause: error });
      }
      await sleep(POLL_MS);
    }
  }
}

function descendantsOf(pid: number): number[] {
  const children = readOrEmpty(`/proc/${pid}/task/${pid}/children`).split(' ').filter(Boolean).map(Number);
  return [...children, ...children.flatMap(descendantsOf)];
}

function nameOf(pid: number): string {
  return readOrEmpty(`/proc/${pid}/comm`).trim();
}

/** A process may end at any moment. */
function readOrEmpty(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

async function ended(daemon: ChildProcess): Promise<void> {
  if (daemon.exitCode !== null || daemon.signalCode !== null) return;
  // The namespace's first process dies with unshare, and everything in it with that.
  daemon.kill('SIGKILL');
  await new Promise((resolve) => daemon.once('exit', resolve));
}

function daemonConfiguration(): string {
  return `auth_unix_rw = "none"
auth_unix_ro = "none"
host_uuid = "${randomUUID()}"
log_outputs = "3:file:/var/log/libvirt/libvirtd.log"
`;
}

/** What a machine without systemd, cgroups of one's own and a security module can give. */
const QEMU_CONFIGURATION = `security_driver = "none"
user = "root"
group = "root"
cgroup_controllers = []
namespaces = []
stdio_handler = "file"
remember_owner = 0
`;

export interface DomainOptions {
  readonly name: string;
  readonly uuid: string;
  readonly memoryMib: number;
  readonly kernel: string;
  readonly commandLine: string;
  /** A qcow2 image that both hosts share; null: none. */
  readonly image: string | null;
}

function diskXml(image: string): string {
  return `
    <disk type='file' device='disk'>
      <driver name='qemu' type='qcow2'/>
      <source file='${image}'/>
      <target dev='vda' bus='virtio'/>
    </disk>`;
}

/** A domain of the lab's bare guest under TCG; its serial port is a socket in the host's own run folder. */
export function domainXml(options: DomainOptions): string {
  return `<domain type='qemu'>
  <name>${options.name}</name>
  <uuid>${options.uuid}</uuid>
  <memory unit='MiB'>${options.memoryMib}</memory>
  <vcpu>1</vcpu>
  <os>
    <type arch='x86_64' machine='pc'>hvm</type>
    <kernel>${options.kernel}</kernel>
    <cmdline>${options.commandLine}</cmdline>
  </os>
  <features><acpi/></features>
  <on_reboot>destroy</on_reboot>
  <devices>
    <emulator>/usr/bin/qemu-system-x86_64</emulator>
    <serial type='unix'><source mode='connect' path='/run/libvirt/serial.sock'/></serial>
    <memballoon model='none'/>
    <controller type='usb' model='none'/>${options.image === null ? '' : diskXml(options.image)}
  </devices>
</domain>`;
}
