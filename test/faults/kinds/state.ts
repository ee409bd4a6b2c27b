/**
 * The state folder that cannot be written, is gone or read-only, and processes that may not open
 * or take any more.
 */

import { mkdirSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../../src/base/index.ts';
import { MIGRATE_STEPS } from '../../../src/controller/index.ts';
import { runCommand } from '../../../src/lab/index.ts';
import type { Kind } from '../kind.ts';
import type { Scene } from '../scene.ts';
import { NotStruck } from '../types.ts';
import { pidsOf, type Role, stepsFrom, strikeAll } from './process.ts';

const BOTH = ['single', 'ssh'] as const;

async function limit(scene: Scene, roles: readonly Role[], option: (pid: number) => string): Promise<void> {
  for (const role of roles) {
    for (const pid of pidsOf(scene, role)) {
      await runCommand(['prlimit', '--pid', String(pid), option(pid)]);
    }
  }
}

function journalBytes(scene: Scene): number {
  const folder = join(scene.state, 'migrations');
  const [id] = readdirSync(folder);
  return id === undefined ? 0 : statSync(join(folder, id, 'journal.jsonl')).size;
}

/**
 * No file may grow beyond what the journal has: to a writer the same as a full disk, short writes included
 * (of the bytes that still fit), and it hits the journal at this step and not when a block is full.
 */
async function fill(scene: Scene): Promise<void> {
  const room = scene.dice.below(2) * 10;
  const bytes = journalBytes(scene) + room;
  await limit(scene, ['controller', 'guardian'], () => `--fsize=${bytes}`);
}

function remove(scene: Scene): void {
  rmSync(scene.state, { recursive: true });
}

async function readOnly(scene: Scene): Promise<void> {
  try {
    await runCommand(['mount', '--bind', scene.state, scene.state]);
  } catch (error) {
    throw new NotStruck(`mounting is not possible here: ${errorMessage(error)}`);
  }
  scene.heal.push(async () => void (await runCommand(['umount', scene.state])));
  await runCommand(['mount', '-o', 'remount,bind,ro', scene.state]);
}

const SMALL_BYTES = 256 * 1024;

/** A file system of its own, so that it can really run full. */
async function ownFileSystem(scene: Scene): Promise<void> {
  mkdirSync(scene.state, { recursive: true });
  try {
    await runCommand(['mount', '-t', 'tmpfs', '-o', `size=${SMALL_BYTES}`, 'godwit-faults', scene.state]);
  } catch (error) {
    throw new NotStruck(`mounting is not possible here: ${errorMessage(error)}`);
  }
  scene.atEnd.push(async () => void (await runCommand(['umount', '-l', scene.state])));
}

/** Not a block is left; what the journal's last block has room for still fits. */
async function useUp(scene: Scene): Promise<void> {
  const filler = join(scene.state, 'filler');
  scene.heal.push(() => rmSync(filler, { force: true }));
  try {
    writeFileSync(filler, new Uint8Array(2 * SMALL_BYTES));
  } catch {
    // As meant.
  }
}

const IMAGE_BYTES = 8 * 1024 * 1024;
/** A line is given up long before, and the harness waits this long for a command. */
const FROZEN_MS = 25_000;

/** A file system that can be frozen. */
async function ownImage(scene: Scene): Promise<void> {
  const image = `${scene.state}.img`;
  mkdirSync(scene.state, { recursive: true });
  writeFileSync(image, new Uint8Array(IMAGE_BYTES));
  try {
    await runCommand(['mkfs.ext4', '-q', '-F', image]);
    await runCommand(['mount', '-o', 'loop', image, scene.state]);
  } catch (error) {
    throw new NotStruck(`mounting is not possible here: ${errorMessage(error)}`);
  }
  scene.atEnd.push(async () => {
    await runCommand(['umount', '-l', scene.state]);
    rmSync(image);
  });
}

/** Whoever writes hangs, and cannot even be killed, until it is thawed. */
async function freeze(scene: Scene): Promise<void> {
  await runCommand(['fsfreeze', '-f', scene.state]);
  const thaw = () => runCommand(['fsfreeze', '-u', scene.state]).catch(() => undefined);
  const timer = setTimeout(() => void thaw(), FROZEN_MS);
  scene.heal.push(async () => {
    clearTimeout(timer);
    await thaw();
  });
}

type Disk = {
  readonly name: string;
  readonly before?: (scene: Scene) => Promise<void>;
  readonly break: (scene: Scene) => Promise<void>;
};

const DISKS: readonly Disk[] = [
  { name: 'full', break: fill },
  { name: 'without a block left', before: ownFileSystem, break: useUp },
  { name: 'removed', break: async (scene) => remove(scene) },
  { name: 'read-only', break: readOnly },
  { name: 'hanging', before: ownImage, break: freeze },
];

/** What comes after it: the disk alone is noticed late or never. */
const THEN: readonly {
  readonly name: string;
  readonly act: (scene: Scene) => void;
  readonly doubt: boolean;
}[] = [
  { name: '', act: () => undefined, doubt: false },
  { name: ', then Ctrl-C', act: (scene) => void strikeAll(scene, ['controller'], 'SIGINT'), doubt: false },
  {
    name: ', then controller killed',
    act: (scene) => void strikeAll(scene, ['controller'], 'SIGKILL'),
    doubt: false,
  },
  {
    name: ', then destination killed',
    act: (scene) => void strikeAll(scene, ['destination'], 'SIGKILL'),
    doubt: true,
  },
];

const DISK_KINDS: readonly Kind[] = DISKS.flatMap((disk) =>
  THEN.map((then) => ({
    kind: `state ${disk.name}${then.name}`,
    rows: [4, 6],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    allows: { doubt: then.doubt },
    ...(disk.before ? { before: disk.before } : {}),
    async strike(scene) {
      await disk.break(scene);
      then.act(scene);
    },
  })),
);

function openFiles(pid: number): number {
  return readdirSync(`/proc/${pid}/fd`).length;
}

function exhausted(roles: readonly Role[]): Kind {
  return {
    kind: `no descriptors left: ${roles.join('+')}`,
    rows: [4],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    strike: (scene) => limit(scene, roles, (pid) => `--nofile=${openFiles(pid)}`),
  };
}

/** Node ends itself by a signal where it gets no memory. */
function noMemory(role: 'guardian' | 'far'): Kind {
  return {
    kind: `no memory left: ${role}`,
    rows: [4],
    arrangements: role === 'far' ? ['ssh'] : BOTH,
    steps: role === 'far' ? stepsFrom('listening') : MIGRATE_STEPS,
    allows: { doubt: role === 'far' },
    strike: (scene) => limit(scene, [role], () => '--as=1'),
  };
}

const OTHER: readonly Kind[] = [
  exhausted(['controller']),
  exhausted(['guardian']),
  exhausted(['controller', 'guardian']),
  {
    kind: 'no memory left: controller',
    rows: [4],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      // Node ends itself by a signal where it gets no memory.
      scene.mayEndBySignal = true;
      await limit(scene, ['controller'], () => '--as=1');
    },
  },
  noMemory('guardian'),
  noMemory('far'),
  {
    kind: 'state folder that cannot be made',
    rows: [15],
    arrangements: ['single'],
    steps: [],
    scene: { stateDirectory: '/proc/godwit-state' },
  },
  {
    kind: 'state folder read-only from the start',
    rows: [15],
    arrangements: ['single'],
    steps: [],
    async before(scene) {
      mkdirSync(scene.state, { recursive: true });
      await readOnly(scene);
    },
  },
];

export const STATE_KINDS: readonly Kind[] = [...DISK_KINDS, ...OTHER];
