/**
 * What is there from the start: VMs of a kind that once went wrong, and a command whose output
 * has nowhere to go.
 */

import { MIGRATE_STEPS } from '../../../src/controller/index.ts';
import type { Kind } from '../kind.ts';
import { strikeAll } from './process.ts';

const BOTH = ['single', 'ssh'] as const;

export const SETTING_KINDS: readonly Kind[] = [
  {
    kind: 'RAM in one shared file',
    refuses: true,
    rows: [11],
    arrangements: ['single'],
    steps: [],
    scene: { sharedRam: true },
  },
  {
    kind: 'RAM in one shared file, then Ctrl-C',
    refuses: true,
    rows: [11],
    arrangements: ['single'],
    steps: ['layout', 'decision', 'stopped', 'prepared'],
    scene: { sharedRam: true },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGINT'),
  },
  { kind: 'a VM with a disk', rows: [], arrangements: BOTH, steps: [], scene: { disk: true } },
  {
    kind: 'a VM with a disk, controller killed',
    rows: [],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    scene: { disk: true },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGKILL'),
  },
  { kind: 'QEMUs of another user', rows: [12], arrangements: BOTH, steps: [], scene: { otherUser: true } },
  {
    kind: 'QEMUs of another user, controller killed',
    rows: [12],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    scene: { otherUser: true },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGKILL'),
  },
  { kind: 'a paused VM', rows: [13], arrangements: BOTH, steps: [], scene: { paused: true } },
  {
    kind: 'a paused VM without the ack',
    rows: [13],
    arrangements: BOTH,
    steps: [],
    scene: { paused: true, arguments: ['--ack-gate', 'off'] },
  },
  {
    kind: 'a paused VM of machine isapc',
    rows: [13],
    arrangements: ['single'],
    steps: [],
    scene: { paused: true, machine: 'isapc' },
  },
  {
    kind: 'a paused VM, controller killed',
    rows: [13],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    scene: { paused: true },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGKILL'),
  },
  {
    kind: 'capability dirty-bitmaps',
    refuses: true,
    rows: [13],
    arrangements: BOTH,
    steps: [],
    async before(scene) {
      const capabilities = [{ capability: 'dirty-bitmaps', state: true }];
      for (const end of ['source', 'destination'] as const) {
        await scene.vm(end).qmp.execute('migrate-set-capabilities', { capabilities });
      }
    },
  },
  {
    kind: 'standard output closed after one line',
    rows: [4],
    arrangements: BOTH,
    steps: [],
    scene: { reader: 'one-line', text: true },
  },
  {
    kind: 'standard output closed, then Ctrl-C',
    rows: [4],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    scene: { reader: 'one-line', text: true },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGINT'),
  },
  {
    kind: 'report into a missing folder',
    rows: [4],
    arrangements: BOTH,
    steps: [],
    scene: { arguments: ['--report', '/nonexistent/report.json'] },
  },
  {
    kind: 'no ack to hold QEMU back, controller killed',
    rows: [],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    scene: { arguments: ['--ack-gate', 'off'] },
    strike: async (scene) => void strikeAll(scene, ['controller'], 'SIGKILL'),
  },
];
