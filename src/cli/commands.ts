/**
 * The commands there are, each as
 *
 *   { name: 'inspect', summary: '…', load: async () => (await import('./commands/inspect.ts')).command }
 *
 * Summaries stand here so that `godwit --help` loads no command.
 */

import type { CommandEntry } from './command.ts';

export const COMMANDS: readonly CommandEntry[] = [
  {
    name: 'assess',
    summary: 'measure a running VM without moving it, and predict how it would move',
    load: async () => (await import('./commands/assess.ts')).command,
  },
  {
    name: 'demo',
    summary: 'move a VM on this machine that plain pre-copy cannot move, and compare',
    load: async () => (await import('./commands/demo.ts')).command,
  },
  {
    name: 'inspect',
    summary: 'show what a captured migration stream holds, and whether it is whole',
    load: async () => (await import('./commands/inspect.ts')).command,
  },
  {
    name: 'migrate',
    summary: 'move a VM of yours to another QEMU, or check whether it could be moved',
    load: async () => (await import('./commands/migrate.ts')).command,
  },
  {
    name: 'list',
    summary: 'the VMs of this host: libvirt domains, and QEMUs by their QMP sockets',
    load: async () => (await import('./commands/list.ts')).command,
  },
  {
    name: 'receive',
    summary: 'be the far side of a migration between two hosts; over ssh, godwit migrate starts it',
    load: async () => (await import('./commands/receive.ts')).command,
  },
  {
    name: 'status',
    summary: 'what running migrations are doing, and why they have not switched over yet',
    load: async () => (await import('./commands/status.ts')).command,
  },
  {
    name: 'set',
    summary: 'change the limits of a running migration',
    load: async () => (await import('./commands/set.ts')).command,
  },
  {
    name: 'switch',
    summary: 'have a running migration stop the VM and copy the rest now',
    load: async () => (await import('./commands/switch.ts')).command,
  },
  {
    name: 'cancel',
    summary: 'give a running migration up; the source VM goes on',
    load: async () => (await import('./commands/cancel.ts')).command,
  },
  {
    name: 'resolve',
    summary: 'end a migration that was interrupted, or list those there are',
    load: async () => (await import('./commands/resolve.ts')).command,
  },
  {
    name: 'lab',
    summary: 'run a plan of measurements on real VMs, and report it',
    load: async () => (await import('./commands/lab.ts')).command,
  },
  {
    name: 'simulate',
    summary: 'run strategies on a modelled guest and link; sweep runs a plan on all cores',
    load: async () => (await import('./commands/simulate.ts')).command,
  },
  {
    name: 'strategies',
    summary: 'list the strategies, or show one with its rules and parameters',
    load: async () => (await import('./commands/strategies.ts')).command,
  },
  {
    name: 'trace',
    summary: 'look at, synthesize or anonymize a recording of which pages a guest wrote',
    load: async () => (await import('./commands/trace.ts')).command,
  },
];
