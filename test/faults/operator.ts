/**
 * The operator after a fault, by operations.md: lists what is open, resolves each, fences what it is told to
 * fence, closes what nobody can end, and moves the VM again. Not responsible for the verdict (judge.ts).
 */

import type { Ended } from './command.ts';
import type { Resolved } from './judge.ts';
import { signal } from './processes.ts';
import type { Scene } from './scene.ts';
import type { End } from './types.ts';

const RESOLVE_TIMEOUT_MS = 300_000;

export type Within = <Value>(promise: Promise<Value>, timeoutMs: number) => Promise<Value | null>;

export async function resolveAll(scene: Scene, within: Within): Promise<Resolved[]> {
  const resolved: Resolved[] = [];
  const run = async (of: string, ...args: string[]) => {
    const ended = await within(scene.run('resolve', ...args, '--json'), RESOLVE_TIMEOUT_MS);
    resolved.push({ of, ended });
    return ended;
  };
  for (const id of openIn(await run('list'))) await run(id, id);
  for (const id of openIn(await run('list'))) {
    const words = resolved.findLast(({ of }) => of === id)?.ended?.out ?? '';
    const fenced = /--fenced (source|destination)/.exec(words)?.[1] as End | undefined;
    if (fenced !== undefined) {
      // The host is powered off, as far as the VM is concerned.
      scene.killed.add(fenced);
      signal(scene.vm(fenced).process.pid, 'SIGKILL');
      await scene.vm(fenced).process.exited;
      if ((await run(id, id, '--fenced', fenced))?.code === 0) continue;
    }
    await run(id, id, '--forget');
  }
  await run('closed');
  return resolved;
}

/** Whoever still runs one is waited for before this; an answer that is none lists nothing. */
function openIn(list: Ended | null): string[] {
  const ids = /"migrations":(\[.*\])/.exec(list?.out ?? '')?.[1];
  if (ids === undefined) return [];
  return (JSON.parse(ids) as { migrationId: string }[]).map(({ migrationId }) => migrationId);
}

/** Whatever happened, the VM that is left at its source must not be stuck there. */
export function moveAgain(scene: Scene): Promise<Ended> {
  return scene.boot('other').then(() => {
    const [source, other] = [scene.vm('source').controlPath, scene.vm('other').controlPath];
    // A far side that was started by hand has had its one migration.
    const how = scene.listener === null ? scene.fault.arrangement : 'single';
    return scene.run(...scene.migrateArguments(source, other, how));
  });
}
