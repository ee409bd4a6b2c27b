/**
 * Several commands on one VM: moves, resolves and cancels beside a move or after one that died; journals that
 * are old or damaged.
 */

import { existsSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { sleep } from '../../../src/base/index.ts';
import { MIGRATE_STEPS } from '../../../src/controller/index.ts';
import type { Ended } from '../command.ts';
import { shown } from '../judge.ts';
import type { Kind } from '../kind.ts';
import type { Scene } from '../scene.ts';
import { NotStruck } from '../types.ts';
import { look, runs } from '../watch.ts';
import { moveByQemu } from './by-qemu.ts';
import { pidsOf, stepsFrom, strikeAll } from './process.ts';

const BOTH = ['single', 'ssh'] as const;
const BEFORE_STOP = stepsFrom('begin', 'decision');
const PATIENCE_MS = 4_000;

function journals(scene: Scene): string[] {
  const folder = join(scene.state, 'migrations');
  return existsSync(folder) ? readdirSync(folder).map((id) => join(folder, id, 'journal.jsonl')) : [];
}

function migrationId(scene: Scene): string {
  const [path] = journals(scene);
  if (path === undefined) throw new NotStruck('the migration has no journal');
  return path.split('/').at(-2)!;
}

/** Ends by then or goes on beside the first one: both happen. */
async function endedOrLate(scene: Scene, commands: readonly Promise<Ended>[]): Promise<void> {
  if (scene.dice.below(2) === 0) return;
  await Promise.race([Promise.all(commands), sleep(PATIENCE_MS)]);
}

function note(scene: Scene, what: string, { code, signal, out, err }: Ended): void {
  const said = (out.trim().split('\n').at(-1) ?? '') || err.trim();
  scene.notes.push(`${what}: ${signal ?? `exit ${code}`} ${said.slice(0, 400)}`);
}

async function killedBeforeStop(scene: Scene): Promise<void> {
  const guardians = pidsOf(scene, 'guardian');
  strikeAll(scene, ['controller'], 'SIGKILL');
  for (const pid of guardians) process.kill(pid, 'SIGKILL');
}

/** The old journal must be closed first where godwit says so; then it is asked for once more. */
async function moveAnew(scene: Scene, old: string): Promise<void> {
  await scene.boot('other');
  scene.vm('destination').process.child.kill('SIGKILL');
  scene.killed.add('destination');
  const again = () =>
    scene.run(...scene.migrateArguments(scene.vm('source').controlPath, scene.vm('other').controlPath));
  let moved = await again();
  note(scene, 'moved anew', moved);
  if (moved.code !== 0 && scene.vm('other').process.ending() === null) {
    note(scene, 'resolve', await scene.run('resolve', old, '--json'));
    moved = await again();
    note(scene, 'moved anew, old journal resolved', moved);
  }
  scene.others.push({ to: 'other', ended: Promise.resolve(moved) });
  note(scene, 'resolve of the old journal', await scene.run('resolve', old, '--json'));
}

const OLD_JOURNALS: readonly Kind[] = [
  {
    kind: 'old journal, the VM moved anew by godwit',
    rows: [2],
    arrangements: BOTH,
    steps: BEFORE_STOP,
    strike: killedBeforeStop,
    afterwards: (scene) => moveAnew(scene, migrationId(scene)),
  },
  {
    kind: 'old journal, the VM moved anew by QEMU alone',
    rows: [2],
    arrangements: BOTH,
    steps: BEFORE_STOP,
    strike: killedBeforeStop,
    async afterwards(scene) {
      await scene.boot('other');
      await moveByQemu(scene, 'other');
      scene.mustNotRun.add('source');
      note(scene, 'resolve', await scene.run('resolve', migrationId(scene), '--json'));
    },
  },
  {
    kind: 'old journal, a new destination at the same socket, paused by its owner',
    rows: [3],
    arrangements: BOTH,
    steps: BEFORE_STOP,
    allows: { stopped: true, doubt: true },
    strike: killedBeforeStop,
    async afterwards(scene) {
      await scene.vm('destination').close();
      await scene.boot('destination');
      await moveByQemu(scene, 'destination');
      await scene.vm('destination').qmp.execute('stop');
      scene.mustNotRun.add('source');
      note(scene, 'resolve', await scene.run('resolve', migrationId(scene), '--json'));
    },
  },
  {
    kind: 'old journal, the source QEMU restarted at the same socket',
    rows: [2, 3],
    arrangements: BOTH,
    steps: BEFORE_STOP,
    strike: killedBeforeStop,
    async afterwards(scene) {
      await scene.vm('source').close();
      await scene.restartSource();
      await scene.vm('source').qmp.execute('stop');
      note(scene, 'resolve', await scene.run('resolve', migrationId(scene), '--json'));
      const { source } = await look(scene.vms);
      if (source?.state !== 'paused')
        scene.complaints.push({
          counter: 'doubled',
          text: `a VM that is another one was made "${source?.state}"`,
        });
      await scene.vm('source').qmp.execute('cont');
    },
    allows: { doubt: true, strayJournal: true },
  },
];

/** A forward that ssh refuses says nothing of the QEMU behind it. */
const REFUSED: Kind = {
  kind: 'resolve while the far socket cannot be reached',
  rows: [5],
  arrangements: ['ssh'],
  steps: ['prepared'],
  strike: killedBeforeStop,
  async afterwards(scene) {
    const path = scene.vm('destination').controlPath;
    renameSync(path, `${path}.away`);
    note(scene, 'resolve, socket away', await scene.run('resolve', migrationId(scene), '--json'));
    const seen = await look(scene.vms);
    if (runs(seen.source) && seen.destination?.state !== 'gone') {
      const text = `the source was continued beside a destination that nobody saw gone: ${shown(seen)}`;
      scene.complaints.push({ counter: 'doubled', text });
    }
    renameSync(`${path}.away`, path);
  },
};

type Damage = { readonly name: string; readonly damage: (lines: string[]) => string };

const DAMAGES: readonly Damage[] = [
  { name: 'empty', damage: () => '' },
  { name: 'first line torn', damage: ([first = '', ...rest]) => [first.slice(0, 40), ...rest].join('\n') },
  { name: 'last line torn', damage: (lines) => lines.join('\n').trimEnd().slice(0, -9) },
  {
    name: 'middle line damaged',
    damage: (lines) => {
      const at = Math.floor((lines.length - 1) / 2);
      return lines.map((line, index) => (index === at ? line.replaceAll('e', 'x') : line)).join('\n');
    },
  },
  {
    name: 'a step of a newer version',
    damage: (lines) => `${lines.join('\n').trimEnd()}\n{"step":"rendezvous","text":"from a newer godwit"}\n`,
  },
];

const DAMAGED: readonly Kind[] = DAMAGES.map(({ name, damage }) => ({
  kind: `journal ${name}`,
  rows: [8],
  arrangements: BOTH,
  steps: MIGRATE_STEPS,
  allows: { doubt: true, damaged: true },
  strike: killedBeforeStop,
  async afterwards(scene) {
    for (const path of journals(scene)) {
      const text = readFileSync(path, 'utf8');
      writeFileSync(path, damage(text.split('\n')));
    }
  },
}));

const CONCURRENT: readonly Kind[] = [
  {
    kind: 'two moves of one VM at once',
    rows: [1],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      await scene.boot('other');
      const args = scene.migrateArguments(scene.spareMonitor('source'), scene.vm('other').controlPath);
      const second = scene.startOther('other', args);
      await endedOrLate(scene, [second.ended]);
    },
  },
  {
    kind: 'the same move again after a crash',
    rows: [2],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    allows: { doubt: true },
    async strike(scene) {
      strikeAll(scene, ['controller'], 'SIGKILL');
      const [source, destination] = [scene.vm('source').controlPath, scene.vm('destination').controlPath];
      scene.startOther('destination', scene.migrateArguments(source, destination));
    },
  },
  {
    kind: 'resolve amid the move',
    rows: [2],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      const id = migrationId(scene);
      const times = 1 + scene.dice.below(3);
      const resolves = Array.from({ length: times }, () => scene.run('resolve', id, '--json'));
      for (const one of resolves) scene.under.push(one.then((ended) => note(scene, 'resolve', ended)));
      await endedOrLate(scene, resolves);
    },
  },
  {
    kind: 'resolve beside the guardian',
    rows: [2, 15],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      const id = migrationId(scene);
      const times = 1 + scene.dice.below(3);
      strikeAll(scene, ['controller'], 'SIGKILL');
      for (let count = 0; count < times; count++) {
        scene.under.push(scene.run('resolve', id, '--json').then((ended) => note(scene, 'resolve', ended)));
      }
    },
  },
  {
    kind: 'several resolves at once, nobody else left',
    rows: [2],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      const id = migrationId(scene);
      await killedBeforeStop(scene);
      for (let count = 0; count < 3; count++) {
        scene.under.push(scene.run('resolve', id, '--json').then((ended) => note(scene, 'resolve', ended)));
      }
    },
  },
  {
    kind: 'cancel from another terminal',
    rows: [10],
    arrangements: BOTH,
    steps: MIGRATE_STEPS,
    async strike(scene) {
      const id = migrationId(scene);
      scene.under.push(scene.run('cancel', id, '--json').then((ended) => note(scene, 'cancel', ended)));
    },
  },
  {
    kind: 'journal of an older, torn migration lies there too',
    rows: [8],
    arrangements: BOTH,
    steps: ['begin', 'stopped', 'commit'],
    allows: { strayJournal: true },
    async before(scene) {
      scene.addJournal('00000000-0000-4000-8000-000000000000', '{"step":"beg');
    },
  },
];

export const COMMAND_KINDS: readonly Kind[] = [...OLD_JOURNALS, REFUSED, ...DAMAGED, ...CONCURRENT];
