/** Folders of state: made one by one, and synced, so that a file in them survives a crash. */

import { closeSync, fsyncSync, mkdirSync, openSync, statSync } from 'node:fs';
import path from 'node:path';

const FOLDER_DEPTH_MAX = 64;

/**
 * `mkdir -p` with mode 0700. Node's own recursion never ends below a folder that refuses with ENOENT
 * (/proc). Errors: the system's.
 */
export function makeFolder(folder: string): void {
  const missing: string[] = [];
  for (let at = path.resolve(folder); !isFolder(at); at = path.dirname(at)) {
    missing.push(at);
    if (missing.length > FOLDER_DEPTH_MAX) throw new Error(`${folder} is nested too deeply`);
  }
  for (const at of missing.reverse()) {
    mkdirOnce(at);
    syncFolder(path.dirname(at));
  }
}

/** Another process may make it at the same moment. */
function mkdirOnce(folder: string): void {
  try {
    mkdirSync(folder, { mode: 0o700 });
  } catch (error) {
    if (!isFolder(folder)) throw error;
  }
}

function isFolder(folder: string): boolean {
  return statSync(folder, { throwIfNoEntry: false })?.isDirectory() === true;
}

/** Names of files in it are on disk when it returns. */
export function syncFolder(folder: string): void {
  const file = openSync(folder, 'r');
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}
