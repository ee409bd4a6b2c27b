/** The files that the rules look at. Not responsible for any rule. */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { type Token, tokenize } from './tokens.ts';

export interface Violation {
  readonly path: string;
  readonly line: number;
  readonly rule: string;
  /** What is wrong, and why that matters or what to do instead. */
  readonly why: string;
}

export interface SourceFile {
  /** Relative to the root, with slashes. */
  readonly path: string;
  readonly text: string;
  /** Without comments. */
  readonly code: readonly Token[];
  readonly comments: readonly Token[];
}

/** A tree of text files by path: the real one, or one that a test makes up. */
export class Project {
  readonly texts: ReadonlyMap<string, string>;
  readonly sources: readonly SourceFile[];

  constructor(texts: ReadonlyMap<string, string>) {
    this.texts = texts;
    this.sources = [...texts]
      .filter(([path]) => /\.(ts|mjs)$/.test(path))
      .map(([path, text]) => parse(path, text));
  }

  static of(texts: Readonly<Record<string, string>>): Project {
    return new Project(new Map(Object.entries(texts)));
  }

  /** Product code in `src`: neither tests nor the rest of the tree. */
  get product(): readonly SourceFile[] {
    return this.sources.filter((file) => file.path.startsWith('src/') && !isTest(file.path));
  }
}

export function isTest(path: string): boolean {
  return path.endsWith('.test.ts') || path.startsWith('test/');
}

function parse(path: string, text: string): SourceFile {
  const tokens = tokenize(text);
  return {
    path,
    text,
    code: tokens.filter((token) => token.kind !== 'comment'),
    comments: tokens.filter((token) => token.kind === 'comment'),
  };
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

export interface Import {
  readonly specifier: string;
  readonly line: number;
  /** The file meant, relative to the root; null for a package. */
  readonly target: string | null;
}

/** Every import of a file: static, dynamic, of types only, and re-exports. */
export function importsOf(file: SourceFile): Import[] {
  const found: Import[] = [];
  for (let index = 0; index < file.code.length; index++) {
    const token = file.code[index]!;
    if (token.kind !== 'word' || (token.text !== 'import' && token.text !== 'from')) continue;
    const next = file.code[index + 1];
    const called = token.text === 'import' && next?.text === '(' && next.kind === 'punctuator';
    const argument = called ? file.code[index + 2] : next;
    if (argument?.kind !== 'string') continue;
    const specifier = argument.text;
    found.push({ specifier, line: argument.line, target: resolveFrom(file.path, specifier) });
  }
  return found;
}

export function resolveFrom(path: string, specifier: string): string | null {
  return specifier.startsWith('.') ? normalize(join(dirname(path), specifier)) : null;
}
