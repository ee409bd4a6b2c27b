/** The files that the rules look at. Not responsible for any rule. */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  /** What is wrong, and why that matters or what to do instead. */
  readonly why: string;
}

export interface TextFile {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly text: string;
}

/** A tree of text files by path: the real one, or one that a test makes up. */
export class Project {
  readonly texts: ReadonlyMap<string, string>;
  readonly files: readonly TextFile[];
  /** Everything in TypeScript or JavaScript. */
  readonly sources: readonly TextFile[];
  /** Product code in `src`, without its tests. */
  readonly product: readonly TextFile[];

  constructor(texts: ReadonlyMap<string, string>) {
    this.texts = texts;
    this.files = [...texts].map(([path, text]) => ({ path, text }));
    this.sources = this.files.filter(({ path }) => /\.(ts|mjs)$/.test(path));
    this.product = this.sources.filter(({ path }) => path.startsWith('src/') && !path.endsWith('.test.ts'));
  }

  static of(texts: Readonly<Record<string, string>>): Project {
    return new Project(new Map(Object.entries(texts)));
  }
}

const SIZE_BYTES_MAX = 1024 * 1024;
const NOT_OURS = new Set(['node_modules', '.git', '.work', 'results']);

/** What git knows or would add; without git the whole folder. */
export function loadProject(root: string): Project {
  const texts = new Map<string, string>();
  for (const path of listFiles(root)) {
    const full = join(root, path);
    if (!existsSync(full) || !statSync(full).isFile() || statSync(full).size > SIZE_BYTES_MAX) continue;
    const text = readFileSync(full, 'utf8');
    if (!text.includes('\0')) texts.set(path, text);
  }
  return new Project(texts);
}

function listFiles(root: string): string[] {
  try {
    const args = ['ls-files', '-z', '--cached', '--others', '--exclude-standard'];
    const output = execFileSync('git', args, {
      cwd: root,
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    return [...new Set(output.split('\0'))].filter((path) => path !== '');
  } catch {
    return walk(root, root);
  }
}

function walk(root: string, folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    if (NOT_OURS.has(entry.name)) return [];
    const path = join(folder, entry.name);
    return entry.isDirectory() ? walk(root, path) : [relative(root, path)];
  });
}
