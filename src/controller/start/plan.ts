/**
 * What a twin of the source would be started as: the facts about the source, gathered for src/launch. Only
 * reads. Not responsible for starting it (twin.ts).
 */

import { readFile, readlink } from 'node:fs/promises';
import { GodwitError } from '../../base/index.ts';
import { type LaunchPlan, planLaunch } from '../../launch/index.ts';
import { gatherMachine, gatherPresent, hostProcess, type QmpClient, sharesFiles } from '../../qmp/index.ts';
import type { QemuToStart } from '../../remote/index.ts';
import type { MigrateOptions, StartOptions } from '../options.ts';

export interface TwinPlan extends LaunchPlan, QemuToStart {}

type Where = Pick<MigrateOptions, 'sourceQmpPath' | 'destinationQmpPath' | 'far'>;

/** Errors: START_UNSEEN, those of QMP. */
export async function planTwin(where: Where, asked: StartOptions, source: QmpClient): Promise<TwinPlan> {
  const owner = await hostProcess(source);
  const program = owner === null ? null : await readlink(`/proc/${owner.pid}/exe`).catch(() => null);
  if (owner === null || program === null || owner.workingFolder === null) {
    throw unseen('its process cannot be seen from here', 'run godwit on its host, as its user or as root');
  }
  if (!(await sharesFiles(owner.pid))) {
    throw unseen('it runs in a container, whose files have other names here', CONTAINER_HINT);
  }
  const machine = await gatherMachine(source);
  const words = owner.argv.slice(1);
  const sameHost = where.far?.reach.host == null;
  const plan = planLaunch(
    {
      // The file of a program that was replaced since it was started.
      program: program.replace(/ \(deleted\)$/, ''),
      words,
      workingFolder: await startFolder(owner.pid, words, owner.workingFolder),
      qmpPath: where.sourceQmpPath,
      machineType: machine.machineType,
      ...(await gatherPresent(source, namedDevices(words))),
      memoryFiles: machine.sharedMemory.backends.map(({ path }) => path),
    },
    { qmpPath: where.destinationQmpPath, sameHost, maps: asked.maps },
  );
  return { ...plan, user: await userOf(owner.userId, words, sameHost) };
}

/** With -daemonize QEMU goes to `/` once its files are open; its environment says where it came from. */
async function startFolder(pid: number, words: readonly string[], workingFolder: string): Promise<string> {
  if (!words.some((word) => /^--?daemonize$/.test(word))) return workingFolder;
  const environment = await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => '');
  const folder = environment.split('\0').find((one) => one.startsWith('PWD='));
  return folder?.slice('PWD='.length) ?? workingFolder;
}

const CONTAINER_HINT = 'start the destination by hand, in a container of its own';

/** Devices of the command line: in either syntax, and a few too many do no harm. */
function namedDevices(words: readonly string[]): ReadonlySet<string> {
  return new Set(
    words
      .flatMap((word) => [...word.matchAll(/(?:^|,)id=([^,]+)|"id":\s*"([^"]+)"/g)])
      .map((one) => one[1] ?? one[2]!),
  );
}

/**
 * As whom the twin is started: by number here, by name elsewhere, where numbers may differ. null: as godwit
 * itself, because the twin gives its rights up like the source.
 */
async function userOf(userId: number, words: readonly string[], sameHost: boolean): Promise<string | null> {
  const givesUp = words.some(
    (word, index) =>
      /^--?runas$/.test(word) || (/^--?run-with$/.test(word) && /(?:^|,)user=/.test(words[index + 1] ?? '')),
  );
  if (givesUp) return null;
  if (sameHost) return String(userId);
  const accounts = await readFile('/etc/passwd', 'utf8').catch(() => '');
  const found = accounts.split('\n').find((line) => line.split(':')[2] === String(userId));
  return found?.split(':')[0] ?? String(userId);
}

function unseen(text: string, hint: string): GodwitError {
  return new GodwitError('START_UNSEEN', `how the source QEMU was started is not known: ${text}`, {
    safe: 'nothing was started or changed',
    hint,
  });
}
