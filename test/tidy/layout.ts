/** Rules about which file may use which: the direction of imports, doors, purity, dead files. */

import { importsOf, isTest, type Project, resolveFrom, type SourceFile, type Violation } from './project.ts';

/** A folder imports only folders of a lower rank: control above data, drivers above rules (ARCHITECTURE.md). */
export const RANKS: Readonly<Record<string, number>> = {
  base: 0,
  vm: 1,
  stream: 2,
  link: 2,
  pages: 2,
  strategy: 2,
  qmp: 2,
  trace: 2,
  engine: 3,
  handover: 3,
  gateway: 4,
  remote: 4,
  machines: 5,
  receive: 5,
  simulator: 5,
  recovery: 6,
  controller: 7,
  lab: 8,
  cli: 10,
};

/** The simulator must show what the rules do, so it may share nothing with the live plumbing. */
const FORBIDDEN_TO: Readonly<Record<string, readonly string[]>> = {
  simulator: ['gateway', 'remote', 'qmp', 'stream', 'link'],
};

function folderOf(path: string): string | null {
  const parts = path.split('/');
  return parts[0] === 'src' && parts.length > 2 ? parts[1]! : null;
}

export function importDirection(project: Project): Violation[] {
  return project.product.flatMap((file) => {
    const from = folderOf(file.path);
    if (from === null || RANKS[from] === undefined) {
      return [
        { path: file.path, line: 1, rule: 'rank', why: 'every source file lies in a folder that has a rank' },
      ];
    }
    return importsOf(file).flatMap(({ target, line }) => {
      const why = target === null ? null : objection(from, target);
      return why === null ? [] : [{ path: file.path, line, rule: 'rank', why }];
    });
  });
}

function objection(from: string, target: string): string | null {
  const to = folderOf(target);
  if (to === from) return isTest(target) ? `${target} is a test; product code must not need it` : null;
  if (to === null)
    return target === 'package.json' ? null : `${target} is outside src; product code must not need it`;
  const rank = RANKS[to];
  if (rank === undefined) return `src/${to} has no rank`;
  if (FORBIDDEN_TO[from]?.includes(to))
    return `${from} may not import ${to}: it would no longer be a model apart`;
  if (rank >= RANKS[from]!)
    return `${from} (rank ${RANKS[from]}) may not import ${to} (rank ${rank}): only lower ranks`;
  if (target !== `src/${to}/index.ts`)
    return `import src/${to}/index.ts instead of ${target}: a folder has one door`;
  return null;
}

/** These take time, dice and bytes as arguments, so that product, simulator and tests share them. */
const PURE_FOLDERS = new Set(['vm', 'stream', 'link', 'pages', 'strategy', 'engine', 'handover']);
/** Of link, frames and session are rules; these drive them with real connections and timers. Named one by one. */
const IMPURE_WITHIN = [
  'src/link/transports/',
  'src/link/workers/',
  'src/link/link.ts',
  'src/link/dialler.ts',
  'src/link/greeter.ts',
  'src/link/wire.ts',
];

const IMPURE_MODULES = new Set(
  'net tls http https http2 dgram dns fs fs/promises child_process worker_threads cluster timers timers/promises os perf_hooks readline tty'
    .split(' ')
    .map((name) => `node:${name}`),
);
const IMPURE_WORDS = new Set(
  'performance setTimeout setInterval setImmediate queueMicrotask process fetch console systemClock sleep randomBytes randomUUID randomInt getRandomValues'.split(
    ' ',
  ),
);
const IMPURE_MEMBERS = new Set(['Date.now', 'Math.random', 'AbortSignal.timeout']);

export function purity(project: Project): Violation[] {
  const pure = project.product.filter(
    (file) =>
      PURE_FOLDERS.has(folderOf(file.path) ?? '') &&
      !IMPURE_WITHIN.some((path) => file.path.startsWith(path)),
  );
  return pure.flatMap((file) => [...impureImports(file), ...impureWords(file)]);
}

function impureImports(file: SourceFile): Violation[] {
  return importsOf(file)
    .filter(({ specifier }) => IMPURE_MODULES.has(specifier))
    .map(({ specifier, line }) => impure(file, line, specifier));
}

function impureWords(file: SourceFile): Violation[] {
  return file.code.flatMap((token, index) => {
    if (token.kind !== 'word') return [];
    const before = file.code[index - 1]?.text;
    if (before === '.' || before === '?.' || before === '#') return [];
    const next = file.code[index + 1]?.text;
    const member = next === '.' ? `${token.text}.${file.code[index + 2]?.text}` : '';
    if (IMPURE_MEMBERS.has(member)) return [impure(file, token.line, member)];
    if (token.text === 'Date' && before === 'new') return [impure(file, token.line, 'new Date')];
    // A property or parameter may have the name (`{ process: 1 }`): only its use as a value counts.
    return IMPURE_WORDS.has(token.text) && next !== ':' && next !== '?'
      ? [impure(file, token.line, token.text)]
      : [];
  });
}

function impure(file: SourceFile, line: number, what: string): Violation {
  const why = `${what} in a pure folder: take time, randomness and bytes as arguments`;
  return { path: file.path, line, rule: 'pure', why };
}

/** An index.ts is a door: what is behind it stands in files that say what they are. */
export function doors(project: Project): Violation[] {
  return project.product
    .filter((file) => file.path.endsWith('/index.ts'))
    .flatMap((file) =>
      statementsOf(file)
        .filter((statement) => !isReExport(statement))
        .map((statement) => ({
          path: file.path,
          line: statement[0]!.line,
          rule: 'door',
          why: 'an index.ts only re-exports ("export … from"); move the code to a file of its own',
        })),
    );
}

function statementsOf(file: SourceFile): SourceFile['code'][] {
  const statements: SourceFile['code'][number][][] = [[]];
  for (const token of file.code) {
    if (token.kind === 'punctuator' && token.text === ';') statements.push([]);
    else statements.at(-1)!.push(token);
  }
  return statements.filter((statement) => statement.length > 0);
}

function isReExport(statement: SourceFile['code']): boolean {
  return (
    statement[0]!.text === 'export' &&
    statement.at(-2)?.text === 'from' &&
    statement.at(-1)!.kind === 'string'
  );
}

const ENTRY_POINTS = new Set(['src/cli/main.ts', 'bench/main.ts']);

/**
 * A file that only its own test uses is dead. Worker and process files are named in a string
 * (`new URL('./worker.ts', import.meta.url)`), which counts; bench modules are found by listing the folder.
 */
export function deadFiles(project: Project): Violation[] {
  const used = new Set<string>();
  for (const file of project.sources) {
    const names = file.code.filter((token) => token.kind === 'string' && /^[\w./-]+\.ts$/.test(token.text));
    for (const name of names) {
      const target = resolveFrom(file.path, name.text.startsWith('.') ? name.text : `./${name.text}`)!;
      if (file.path !== target.replace(/\.ts$/, '.test.ts')) used.add(target);
    }
  }
  return project.product
    .filter(({ path }) => !used.has(path) && !ENTRY_POINTS.has(path) && !path.endsWith('/index.ts'))
    .map(({ path }) => ({
      path,
      line: 1,
      rule: 'dead',
      why: 'nothing but perhaps its own test imports this file: use it or delete it',
    }));
}
