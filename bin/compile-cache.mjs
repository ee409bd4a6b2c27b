// @ts-check
/**
 * Keeps what Node makes of godwit's sources (types stripped, bytecode) for the next start, which then takes half the time.
 * Bytecode is run as it is, so it is kept where nobody else can write. Without such a place there is no cache, and nothing is said.
 */

import { lstatSync, mkdirSync } from 'node:fs';
import module from 'node:module';
import { homedir } from 'node:os';
import { join } from 'node:path';

const OTHERS_MAY_WRITE = 0o022;

/**
 * Made if need be; null where it cannot be, or is not this user's alone.
 * @param {NodeJS.ProcessEnv} [environment]
 * @returns {string | null}
 */
export function compileCacheFolder(environment = process.env) {
  try {
    const ownUid = process.getuid?.();
    const caches = ownUid === 0 ? '/var/cache' : join(homedir(), '.cache');
    const path = join(environment['XDG_CACHE_HOME'] || caches, 'godwit');
    mkdirSync(path, { recursive: true, mode: 0o700 });
    const { uid, mode } = lstatSync(path);
    return uid === ownUid && (mode & OTHERS_MAY_WRITE) === 0 ? path : null;
  } catch {
    return null;
  }
}

/** For this process and those it starts, threads too; NODE_COMPILE_CACHE and NODE_DISABLE_COMPILE_CACHE have their say. */
export function keepCompiled() {
  if (process.env['NODE_COMPILE_CACHE'] || process.env['NODE_DISABLE_COMPILE_CACHE']) return;
  const folder = compileCacheFolder();
  if (folder === null) return;
  module.enableCompileCache(folder);
  process.env['NODE_COMPILE_CACHE'] = folder;
}
