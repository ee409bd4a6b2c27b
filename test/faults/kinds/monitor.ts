/** Somebody else at a monitor: commands of another QMP client at either end, amid the move. */

import { MIGRATE_STEPS, type MigrateStep } from '../../../src/controller/index.ts';
import type { Kind } from '../kind.ts';
import type { Scene } from '../scene.ts';
import type { Allowance } from '../types.ts';
import { stepsFrom } from './process.ts';

const COMMAND_TIMEOUT_MS = 3_000;
const BOTH = ['single', 'ssh'] as const;

/** A refusal, or a QEMU that does not answer in its final stage, is an act without an effect. */
async function act(scene: Scene, end: 'source' | 'destination', command: string): Promise<void> {
  try {
    await scene.vm(end).qmp.execute(command, {}, { timeoutMs: COMMAND_TIMEOUT_MS });
    scene.notes.push(`${end} took ${command}`);
  } catch (error) {
    scene.notes.push(`${end} ${command}: ${String(error)}`);
  }
}

/** Late in the move it may hit a VM that has just arrived: only then does QEMU tell of a STOP. */
async function stopThere(scene: Scene): Promise<void> {
  const { qmp } = scene.vm('destination');
  const since = qmp.eventMark();
  await act(scene, 'destination', 'stop');
  scene.stoppedThere = qmp.eventsSince(since).some(({ name }) => name === 'STOP');
}

/** Not before `quit` is answered: the process ends some moments later. */
async function quit(scene: Scene, end: 'source' | 'destination'): Promise<void> {
  scene.killed.add(end);
  await act(scene, end, 'quit');
}

function monitor(
  end: 'source' | 'destination',
  command: string,
  steps: readonly MigrateStep[],
  allows: Allowance = {},
  when = '',
): Kind {
  return {
    kind: `${command} at the ${end}${when}`,
    rows: command === 'stop' ? [14] : [1, 7],
    arrangements: BOTH,
    steps,
    allows,
    strike(scene) {
      if (command === 'quit') return quit(scene, end);
      return command === 'stop' && end === 'destination' ? stopThere(scene) : act(scene, end, command);
    },
  };
}

const RUNNING = stepsFrom('begin', 'decision');
const STOPPED = stepsFrom('stopped', 'prepared');
const LOADED = stepsFrom('released', 'prepared');

export const MONITOR_KINDS: readonly Kind[] = [
  monitor('source', 'cont', STOPPED, { doubt: true, overlap: true, noCommit: true }),
  monitor('source', 'cont', ['commit'], { doubt: true, overlap: true }, ', COMMIT written'),
  monitor('source', 'stop', [...RUNNING, 'stopping'], { stopped: true }),
  monitor('source', 'stop', STOPPED, { stopped: true }, ', stopped already'),
  monitor('source', 'system_reset', RUNNING),
  monitor('source', 'system_reset', STOPPED, { doubt: true }, ', stopped already'),
  monitor('source', 'migrate_cancel', MIGRATE_STEPS),
  monitor('source', 'quit', MIGRATE_STEPS, { doubt: true }),
  monitor('destination', 'cont', stepsFrom('incoming', 'drained'), { doubt: true, overlap: true }),
  monitor('destination', 'cont', LOADED, { doubt: true, overlap: true }, ', loaded'),
  monitor('destination', 'stop', stepsFrom('incoming', 'prepared')),
  monitor('destination', 'stop', stepsFrom('commit'), { stopped: true, doubt: true }, ', COMMIT written'),
  monitor('destination', 'system_reset', LOADED, { doubt: true, noCommit: true }, ', loaded'),
  monitor('destination', 'quit', MIGRATE_STEPS, { doubt: true }),
];
