/** What strikes a move of a domain while its controller stands still at a step. */

import { spawn } from 'node:child_process';
import { sleep } from '../../src/base/index.ts';
import type { MigrateStep } from '../../src/controller/index.ts';
import { migrateFinish } from '../../src/libvirt/index.ts';
import type { Move, Rig } from '../live/libvirt-scene.ts';
import type { DaemonProxy } from './proxy.ts';

export interface Struck {
  readonly rig: Rig;
  readonly move: Move;
  /** In front of the destination's daemon. */
  readonly proxy: DaemonProxy;
}

/** What may be true of the VM afterwards, besides that exactly one copy runs. */
export type Allowed = 'one' | 'suspended' | 'ended';

export interface FaultKind {
  readonly name: string;
  readonly steps: readonly MigrateStep[];
  readonly allowed: Allowed;
  /** The controller goes on by itself once this resolves, if it lives. */
  strike(struck: Struck): Promise<void>;
}

const FREEZE_MS = 4_000;
const BEFORE: readonly MigrateStep[] = ['incoming', 'layout', 'decision'];
const STOPPED: readonly MigrateStep[] = ['stopped', 'loaded', 'released', 'prepared'];
const EVERY: readonly MigrateStep[] = [...BEFORE, ...STOPPED, 'commit', 'running'];

const kill = (pid: number | undefined, signal: NodeJS.Signals = 'SIGKILL') => {
  if (pid !== undefined) process.kill(pid, signal);
};

/** The guardian is the controller's child that runs guardian.ts; found by its journal. */
async function guardianOf(move: Move): Promise<number | undefined> {
  const text = await output(['pgrep', '-P', String(move.processId), '-f', 'recovery/guardian']);
  return text === '' ? undefined : Number(text.split('\n')[0]);
}

/** As an operator would, for so long as a daemon lets one wait. Refusals are as good. */
async function virsh(uri: string, ...args: readonly string[]): Promise<void> {
  await output(['timeout', '5', 'virsh', '-c', uri, ...args, 'guest']);
}

async function output([program, ...args]: readonly string[]): Promise<string> {
  const child = spawn(program!, args, { stdio: ['ignore', 'pipe', 'ignore'] });
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  await new Promise((resolve) => child.on('close', resolve).on('error', resolve));
  return text.trim();
}

/** The move goes on beside a daemon that answers nothing for a while. */
async function freeze(pid: number | undefined, move: Move): Promise<void> {
  kill(pid, 'SIGSTOP');
  move.goOn();
  await sleep(FREEZE_MS);
  kill(pid, 'SIGCONT');
}

const daemon = (rig: Rig, end: 0 | 1) => rig.hosts[end].processIds('libvirtd')[0];
const qemu = (rig: Rig, end: 0 | 1) => rig.hosts[end].processIds('qemu-system-x86').at(-1);

export const FAULT_KINDS: readonly FaultKind[] = [
  {
    ...{ name: 'kill-controller', steps: EVERY, allowed: 'one' },
    strike: async ({ move }) => kill(move.processId),
  },
  {
    ...{ name: 'kill-controller-and-guardian', steps: EVERY, allowed: 'one' },
    strike: async ({ move }) => {
      kill(await guardianOf(move));
      kill(move.processId);
    },
  },
  {
    ...{ name: 'kill-guardian', steps: ['layout', 'stopped', 'prepared'], allowed: 'one' },
    strike: async ({ move }) => kill(await guardianOf(move)),
  },
  {
    ...{ name: 'freeze-controller', steps: [...STOPPED, 'commit'], allowed: 'one' },
    strike: () => sleep(FREEZE_MS),
  },
  {
    ...{ name: 'kill-source-daemon', steps: EVERY, allowed: 'one' },
    strike: async ({ rig }) => kill(daemon(rig, 0)),
  },
  {
    ...{ name: 'kill-destination-daemon', steps: EVERY, allowed: 'one' },
    strike: async ({ rig }) => kill(daemon(rig, 1)),
  },
  {
    ...{ name: 'freeze-source-daemon', steps: EVERY, allowed: 'one' },
    strike: ({ rig, move }) => freeze(daemon(rig, 0), move),
  },
  {
    ...{ name: 'freeze-destination-daemon', steps: EVERY, allowed: 'one' },
    strike: ({ rig, move }) => freeze(daemon(rig, 1), move),
  },
  {
    ...{ name: 'cut-destination-connection', steps: EVERY, allowed: 'one' },
    strike: async ({ proxy }) => proxy.cut(),
  },
  {
    ...{ name: 'lose-finish-answer', steps: ['prepared', 'commit'], allowed: 'one' },
    strike: async ({ proxy }) => proxy.loseAnswerOf(migrateFinish.number),
  },
  {
    ...{ name: 'domjobabort', steps: [...BEFORE, 'stopped', 'loaded'], allowed: 'one' },
    strike: ({ rig }) => virsh(rig.hosts[0].uri, 'domjobabort'),
  },
  {
    ...{ name: 'virsh-suspend', steps: ['layout', 'decision', 'stopped', 'prepared'], allowed: 'suspended' },
    strike: ({ rig }) => virsh(rig.hosts[0].uri, 'suspend'),
  },
  {
    ...{ name: 'virsh-resume', steps: ['layout', 'stopped', 'prepared'], allowed: 'one' },
    strike: ({ rig }) => virsh(rig.hosts[0].uri, 'resume'),
  },
  {
    ...{ name: 'virsh-destroy-source', steps: ['layout', 'stopped'], allowed: 'ended' },
    strike: ({ rig }) => virsh(rig.hosts[0].uri, 'destroy'),
  },
  {
    ...{ name: 'virsh-destroy-destination', steps: ['layout', 'loaded', 'prepared'], allowed: 'one' },
    strike: ({ rig }) => virsh(rig.hosts[1].uri, 'destroy'),
  },
  {
    ...{ name: 'virsh-resume-destination', steps: ['layout', 'loaded', 'prepared'], allowed: 'one' },
    strike: ({ rig }) => virsh(rig.hosts[1].uri, 'resume'),
  },
  {
    ...{ name: 'kill-destination-qemu', steps: [...BEFORE.slice(0, 2), ...STOPPED], allowed: 'one' },
    strike: async ({ rig }) => kill(qemu(rig, 1)),
  },
  {
    ...{ name: 'kill-source-qemu', steps: ['layout', 'stopped'], allowed: 'ended' },
    strike: async ({ rig }) => kill(qemu(rig, 0)),
  },
];
