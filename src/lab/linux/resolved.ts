/**
 * apt's answers, kept for as long as its package lists are the same: each takes it seconds. Not responsible
 * for the questions (packages.ts).
 */

import { mkdirSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { z } from 'zod';

const APT_LISTS = '/var/lib/apt/lists';

const answerSchema = z.object({
  stamp: z.string(),
  kernel: z.object({ name: z.string(), file: z.string() }),
  files: z.array(z.string()),
});

export type Resolved = Pick<z.infer<typeof answerSchema>, 'kernel' | 'files'>;

/**
 * What is at `path` if the lists are those of then; else asks and keeps the answer. Errors: those of `ask`.
 */
export async function remembered(
  path: string,
  ask: () => Promise<Resolved>,
  stamp: string | null = stampOf(APT_LISTS),
): Promise<Resolved> {
  const known = stamp === null ? null : read(path);
  if (known !== null && known.stamp === stamp) return known;
  const answer = await ask();
  if (stamp === null) return answer;
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.new-${process.pid}`;
  writeFileSync(fresh, JSON.stringify({ stamp, ...answer }));
  renameSync(fresh, path);
  return answer;
}

/** Changes with every "apt-get update" that brings something; null where the lists are elsewhere. */
function stampOf(folder: string): string | null {
  try {
    return readdirSync(folder)
      .map((name) => `${name} ${statSync(join(folder, name)).mtimeMs}`)
      .join('\n');
  } catch {
    return null;
  }
}

function read(path: string): z.infer<typeof answerSchema> | null {
  try {
    return answerSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}
