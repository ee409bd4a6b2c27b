/**
 * Biome and knip, run over a made-up tree with this repository's own settings. Not responsible for the rules.
 */

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '..', '..');
const SETTINGS = [
  'biome.json',
  'biome.imports.json',
  'knip.jsonc',
  'package.json',
  'tsconfig.json',
  '.gitignore',
];

export interface Tree extends Disposable {
  readonly root: string;
}

/** The files in a folder of their own, with the settings of this repository beside them. */
export function plant(texts: Readonly<Record<string, string>>): Tree {
  const root = mkdtempSync(join(tmpdir(), 'godwit-tidy-'));
  for (const name of SETTINGS) cpSync(join(ROOT, name), join(root, name));
  symlinkSync(join(ROOT, 'node_modules'), join(root, 'node_modules'));
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return { root, [Symbol.dispose]: () => rmSync(root, { recursive: true, force: true }) };
}

/** The errors of one rule of Biome, as sorted `path:line`. All rules run: naming one would turn it on. */
export function lint({ root }: Tree, rule: string): string[] {
  const program = join(ROOT, 'node_modules', '.bin', 'biome');
  const args = ['lint', '--reporter=json', '--max-diagnostics=none', '--diagnostic-level=error', '.'];
  const { stdout, stderr } = spawnSync(program, args, { cwd: root, encoding: 'utf8' });
  const report = jsonOf<BiomeReport>(stdout, stderr);
  return report.diagnostics
    .filter(({ category }) => category === `lint/${rule}`)
    .map(({ location }) => `${location.path}:${location.start.line}`)
    .sort();
}

interface BiomeReport {
  readonly diagnostics: readonly {
    readonly category: string;
    readonly location: { readonly path: string; readonly start: { readonly line: number } };
  }[];
}

/** What knip finds, as sorted `kind path name`. */
export function findDead({ root }: Tree, ...args: string[]): string[] {
  const program = join(ROOT, 'node_modules', 'knip', 'bin', 'knip.js');
  const { stdout, stderr } = spawnSync(process.execPath, [program, '--reporter=json', ...args], {
    cwd: root,
    encoding: 'utf8',
  });
  const { issues } = jsonOf<KnipReport>(stdout, stderr);
  return issues
    .flatMap(({ file, ...kinds }) =>
      Object.entries(kinds).flatMap(([kind, found]) =>
        Array.isArray(found) ? found.map(({ name }) => `${kind} ${file} ${name}`) : [],
      ),
    )
    .sort();
}

interface KnipReport {
  readonly issues: readonly ({ readonly file: string } & Readonly<Record<string, unknown>>)[];
}

function jsonOf<T>(stdout: string, stderr: string): T {
  try {
    return JSON.parse(stdout) as T;
  } catch (cause) {
    throw new Error(`no report, but: ${stdout}${stderr}`, { cause });
  }
}
