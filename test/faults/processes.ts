/**
 * The processes of one fault, found from outside: every process that godwit starts inherits an environment
 * variable with the fault's mark. Not responsible for QEMUs, which the rig starts itself.
 */

import { readdirSync, readFileSync } from 'node:fs';

/** Its value is the mark. */
export const MARK = 'GODWIT_FAULT';

export type HelperRole = 'guardian' | 'far' | 'ssh';

export interface MarkedProcess {
  readonly pid: number;
  readonly argv: readonly string[];
}

export function markedProcesses(mark: string): MarkedProcess[] {
  const found: MarkedProcess[] = [];
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name) || !read(name, 'environ').includes(`${MARK}=${mark}`)) continue;
    const argv = read(name, 'cmdline');
    // A zombie has no command line any more.
    if (argv.length > 0) found.push({ pid: Number(name), argv });
  }
  return found;
}

function read(pid: string, file: 'environ' | 'cmdline'): string[] {
  try {
    return readFileSync(`/proc/${pid}/${file}`, 'utf8').split('\0').slice(0, -1);
  } catch {
    // It ended meanwhile, or is another user's.
    return [];
  }
}

/** A far side that was started by hand, which waits for its migration's end. */
export function isListener({ argv }: MarkedProcess): boolean {
  return argv.includes('--listen');
}

/** The newest ones of this role, which a command line tells. */
export function helpersOf(mark: string, role: HelperRole): MarkedProcess[] {
  return markedProcesses(mark).filter(({ argv }) => roleOf(argv) === role);
}

function roleOf(argv: readonly string[]): HelperRole | null {
  const has = (part: RegExp) => argv.some((word) => part.test(word));
  if (/(^|\/)ssh$/.test(argv[0] ?? '')) return 'ssh';
  if (has(/guardian/)) return 'guardian';
  return has(/godwit\.mjs$/) && argv.includes('receive') ? 'far' : null;
}

/** false: it is not there any more. */
export function signal(pid: number, name: NodeJS.Signals): boolean {
  try {
    process.kill(pid, name);
    return true;
  } catch {
    return false;
  }
}
