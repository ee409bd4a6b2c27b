/**
 * Rules about the layout that Biome cannot know: an index.ts is a door, and Biome's import rules say what
 * ARCHITECTURE.md says. Not responsible for the imports themselves: biome.imports.json is.
 */

import type { Project, TextFile, Violation } from './project.ts';

/** An index.ts is a door: what is behind it stands in files that say what they are. */
export function doors(project: Project): Violation[] {
  return project.product
    .filter((file) => file.path.endsWith('/index.ts'))
    .flatMap((file) => {
      const line = firstOtherLine(file);
      const why = 'an index.ts only re-exports ("export … from"); move the code to a file of its own';
      return line === null ? [] : [{ path: file.path, line, rule: 'door', why }];
    });
}

const COMMENT = /\/\*[\s\S]*?\*\/|\/\/.*/g;
const RE_EXPORT = /export (?:type )?(?:\*(?: as \w+)?|\{[\w\s,]*\}) from '[^']+';/g;

/** The first line that belongs neither to a re-export nor to a comment; null where there is none. */
function firstOtherLine({ text }: TextFile): number | null {
  const blank = (match: string) => match.replace(/\S/g, '');
  const rest = text.replace(COMMENT, blank).replace(RE_EXPORT, blank).split('\n');
  const index = rest.findIndex((line) => line.trim() !== '');
  return index < 0 ? null : index + 1;
}

const RULES = 'biome.imports.json';
const RANKS = 'ARCHITECTURE.md';
/** A row of its table of folders: rank, folder. */
const ROW = /^\| (\d+) \| `src\/([\w-]+)` \|/gm;

/**
 * Every folder of src has a rank in ARCHITECTURE.md, and an import rule for its own files and for those of
 * its subfolders; what a rule allows has a lower rank.
 */
export function importRules(project: Project): Violation[] {
  const ranks = ranksIn(project.texts.get(RANKS) ?? '');
  const text = project.texts.get(RULES) ?? '{ "overrides": [] }';
  const overrides: readonly Override[] = JSON.parse(text).overrides;
  const layers = new Set(project.product.map(({ path }) => layerOf(path)));
  return [
    ...[...layers].filter((layer) => !ranks.has(folderOf(layer))).map((layer) => unranked(layer)),
    ...[...layers]
      .filter((layer) => !overrides.some(({ includes }) => includes[0] === layer))
      .map((layer) => complain(text, `no rule for ${layer}`, 'overrides')),
    ...overrides.flatMap(({ includes: [layer = ''], linter }) =>
      linter.rules.style.noRestrictedImports.options.patterns
        .flatMap(({ group }) => group.flatMap(allowedBy))
        // A folder without a rank does not exist, or is found above.
        .filter((to) => (ranks.get(to) ?? -Infinity) >= (ranks.get(folderOf(layer)) ?? Infinity))
        .map((to) => complain(text, `${layer} may not import ${to}: only lower ranks`, layer)),
    ),
  ];
}

/** Both ways, with the folders' names: what the table has and the tree has not is a folder that moved. */
export function folderTable(project: Project): Violation[] {
  const text = project.texts.get(RANKS) ?? '';
  const folders = new Set(
    project.product.map(({ path }) => folderOf(path)).filter((name) => !name.includes('.')),
  );
  const rows = [...text.matchAll(ROW)].map((row) => ({ name: row[2]!, line: lineAt(text, row.index) }));
  const named = new Set(rows.map(({ name }) => name));
  return [
    ...rows
      .filter(({ name }) => !folders.has(name))
      .map(({ name, line }) => tableEntry(line, `src/${name} is in the table and not in the tree`)),
    ...[...folders]
      .filter((name) => !named.has(name))
      .map((name) => tableEntry(1, `src/${name} is in the tree and not in the table`)),
  ];
}

function tableEntry(line: number, why: string): Violation {
  return { path: RANKS, line, rule: 'folder-table', why };
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

interface Override {
  readonly includes: readonly string[];
  readonly linter: {
    readonly rules: {
      readonly style: {
        readonly noRestrictedImports: {
          readonly options: { readonly patterns: readonly { readonly group: readonly string[] }[] };
        };
      };
    };
  };
}

function ranksIn(architecture: string): ReadonlyMap<string, number> {
  const rows = architecture.matchAll(ROW);
  return new Map([...rows].map((row) => [row[2]!, Number(row[1])]));
}

/**
 * The files that one rule is for: relative imports leave a folder by one ".." or, below a subfolder, by two.
 */
function layerOf(path: string): string {
  const [, folder = '', ...below] = path.split('/');
  if (below.length === 0) return 'src/*.ts';
  return below.length === 1 ? `src/${folder}/*.ts` : `src/${folder}/*/**`;
}

function folderOf(layer: string): string {
  return layer.split('/')[1] ?? '';
}

/** The folders in an exception such as `!../../{base,vm}/index.ts`. */
function allowedBy(pattern: string): string[] {
  const match = /^!(?:\.\.\/)+\{?([\w,-]+)\}?\/index\.ts$/.exec(pattern);
  return match === null ? [] : match[1]!.split(',');
}

function unranked(layer: string): Violation {
  return { path: RANKS, line: 1, rule: 'rank', why: `${layer} has no rank in the table of folders` };
}

function complain(text: string, why: string, near: string): Violation {
  const line = text.split('\n').findIndex((each) => each.includes(near)) + 1;
  return { path: RULES, line, rule: 'import-rules', why };
}
