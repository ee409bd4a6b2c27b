/** One fault from its boot to its verdict. */

import { MIGRATE_STEPS } from '../../src/controller/index.ts';
import { replayOf } from './draw.ts';
import { gather, settingsOf } from './evidence.ts';
import { replayJournals } from './journals.ts';
import { judge, lastLine, shown, type Violation } from './judge.ts';
import type { Kind } from './kind.ts';
import { Scene } from './scene.ts';
import type { Slot } from './slot.ts';
import { type Fault, NotStruck } from './types.ts';

export interface FaultResult extends Fault {
  /** `missed`: the step was not reached, or nothing was there to hit. `unable`: not on this machine. */
  readonly verdict: 'holds' | 'violated' | 'missed' | 'unable';
  readonly violations: readonly Violation[];
  readonly replay: string;
  readonly exit: number | string | null;
  readonly said: string;
  readonly saw: string;
  readonly lastStep: string | null;
  /** The longest time in which no copy ran. */
  readonly downMs: number;
  readonly seconds: number;
  readonly notes: readonly string[];
}

/** Nothing was seen. */
export function emptyResult(fault: Fault): FaultResult {
  return {
    ...fault,
    verdict: 'missed',
    violations: [],
    replay: replayOf(fault),
    exit: null,
    said: '',
    saw: '',
    lastStep: null,
    downMs: 0,
    notes: [],
    seconds: 0,
  };
}

export async function runFault(kind: Kind, fault: Fault, slot: Slot): Promise<FaultResult> {
  const startMs = performance.now();
  const result = (rest: Partial<FaultResult>): FaultResult => ({
    ...emptyResult(fault),
    seconds: Math.round((performance.now() - startMs) / 100) / 10,
    ...rest,
  });
  if (fault.arrangement !== 'single' && slot.ssh === null) {
    return result({ verdict: 'unable', notes: ['no sshd here'] });
  }
  const scene = await Scene.open(fault, kind.scene ?? {}, slot);
  try {
    await kind.before?.(scene);
    const settings = await settingsOf(scene.vm('source'));
    const command = scene.startMove();
    // A command that ended before its step may still be wrong.
    const isStruck = fault.step === null || (await strike(kind, fault, scene));
    const evidence = await gather(kind, scene, settings);
    const violations = [...judge(evidence), ...replayJournals(scene.state)];
    const { ended, first, last, resolved } = evidence;
    return result({
      verdict: violations.length > 0 ? 'violated' : isStruck ? 'holds' : 'missed',
      violations,
      exit: ended === null ? 'hangs' : (ended.signal ?? ended.code),
      said: ended === null ? '' : lastLine(ended),
      saw: `${shown(first)} | ${shown(last)}`,
      lastStep: command.steps.at(-1) ?? null,
      downMs: Math.round(scene.watch.downMs),
      notes: [
        ...scene.notes,
        ...resolved.map(
          ({ of, ended: one }) =>
            `resolve ${of}: ${one === null ? 'hangs' : `exit ${one.code} ${lastLine(one)}`}`,
        ),
      ],
    });
  } catch (error) {
    if (!(error instanceof NotStruck)) throw error;
    return result({ notes: [...scene.notes, error.message], verdict: 'missed' });
  } finally {
    await scene.close();
  }
}

/** false: the command ended before its step. */
async function strike(kind: Kind, fault: Fault, scene: Scene): Promise<boolean> {
  if (!(await scene.command.reached)) return false;
  try {
    await kind.strike?.(scene, MIGRATE_STEPS.find((step) => step === fault.step)!);
  } finally {
    scene.command.goOn();
  }
  return true;
}
