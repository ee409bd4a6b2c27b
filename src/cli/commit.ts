/**
 * Which commit of godwit ran, for results that must be repeatable. Not responsible for what stands in the
 * results.
 */

import { execFileSync } from 'node:child_process';

/** null outside of a git checkout. */
export function commitOf(): string | null {
  try {
    const args = ['describe', '--always', '--dirty', '--abbrev=12', '--exclude=*'];
    const options = { cwd: import.meta.dirname, stdio: ['ignore', 'pipe', 'ignore'] as const };
    return execFileSync('git', args, { ...options, stdio: [...options.stdio], encoding: 'utf8' }).trim();
  } catch {
    return null;
  }
}
