/** Where the Linux guest's parts are kept, and how many of them. Not responsible for the parts. */

import { readdirSync, rmSync, statSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** GODWIT_CACHE, else the user's cache folder. */
export function cacheFolder(environment: NodeJS.ProcessEnv = process.env): string {
  const named = environment['GODWIT_CACHE'];
  return named ?? join(environment['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'godwit');
}

/** Of what `isOne` accepts by its name, the newest `count` stay. */
export function keepNewest(folder: string, count: number, isOne: (name: string) => boolean): void {
  const known = readdirSync(folder)
    .filter(isOne)
    .map((name) => ({ path: join(folder, name), atMs: statSync(join(folder, name)).mtimeMs }))
    .sort((one, other) => other.atMs - one.atMs);
  for (const { path } of known.slice(count)) rmSync(path, { recursive: true, force: true });
}
