/** Each rule against a planted violation, and against what looks like one but is none. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { longComments, namedFiles } from './comments.ts';
import { doors, folderTable, importRules } from './layout.ts';
import { Project, type Violation } from './project.ts';
import { findDead, lint, plant } from './tools.ts';
import {
  dependencies,
  errorCodes,
  hostsIn,
  leftovers,
  links,
  machinePaths,
  mirrorHosts,
  namedPaths,
} from './words.ts';

const at = (violations: readonly Violation[]) => violations.map(({ path, line }) => `${path}:${line}`);

test('imports: upward, sideways, past the door, of tests, dynamic ones and those of types are found', () => {
  using tree = plant({
    'src/strategy/a.ts': [
      "import { x } from '../base/index.ts';",
      "import { y } from '../pages/index.ts';",
      "import type { z } from '../engine/index.ts';",
      "const late = () => import('../cli/index.ts');",
      "export { deep } from '../vm/deep.ts';",
      "import { fake } from './fake.testing.ts';",
      "import { another } from './a.test.ts';",
      "import { helper } from '../../test/helper.ts';",
      "import { own } from './hold/own.ts';",
      'const text = "import { n } from \'../engine/index.ts\'";',
    ].join('\n'),
    'src/strategy/hold/own.ts': [
      "import { x } from '../../base/index.ts';",
      "import { y } from '../../engine/index.ts';",
      "import { own } from '../order/other.ts';",
      "import { fake } from '../fake.testing.ts';",
    ].join('\n'),
    'src/strategy/a.test.ts': "import { x } from '../engine/index.ts';\nimport './fake.testing.ts';",
    'src/simulator/b.ts': "import { s } from '../stream/index.ts';\nimport { e } from '../engine/index.ts';",
  });
  assert.deepEqual(lint(tree, 'style/noRestrictedImports'), [
    'src/simulator/b.ts:1',
    ...[2, 3, 4, 5, 6, 7, 8].map((line) => `src/strategy/a.ts:${line}`),
    'src/strategy/hold/own.ts:2',
    'src/strategy/hold/own.ts:4',
  ]);
});

test('import rules: a folder without a rank or a rule, and a rule that points upward, are found', () => {
  const rule = (layer: string, allowed: string) => {
    const patterns = [{ group: ['../**', `!../${allowed}/index.ts`] }];
    const linter = { rules: { style: { noRestrictedImports: { options: { patterns } } } } };
    return { includes: [layer], linter };
  };
  const tree = {
    'ARCHITECTURE.md': '| 0 | `src/base` | a |\n| 1 | `src/vm` | b |\n| 2 | `src/pages` | c |\n',
    'src/base/a.ts': '',
    'src/vm/a.ts': '',
    'src/pages/a.ts': '',
  };
  const rules = [
    rule('src/base/*.ts', 'none'),
    rule('src/vm/*.ts', 'base'),
    rule('src/pages/*.ts', '{base,vm}'),
  ];
  const why = (more: Readonly<Record<string, string>>, overrides: readonly object[]) =>
    importRules(Project.of({ ...tree, 'biome.imports.json': JSON.stringify({ overrides }), ...more })).map(
      (violation) => violation.why,
    );
  const base = {
    ...rules[0]!,
    linter: { rules: { style: { noRestrictedImports: { options: { patterns: [] } } } } },
  };
  assert.deepEqual(why({}, [base, ...rules.slice(1)]), []);
  assert.deepEqual(why({}, [base, rules[1]!]), ['no rule for src/pages/*.ts']);
  assert.deepEqual(why({ 'src/vm/deep/a.ts': '' }, [base, ...rules.slice(1)]), ['no rule for src/vm/*/**']);
  assert.deepEqual(why({ 'src/odd/a.ts': '' }, [base, ...rules.slice(1)]), [
    'src/odd/*.ts has no rank in the table of folders',
    'no rule for src/odd/*.ts',
  ]);
  assert.deepEqual(why({}, [base, rule('src/vm/*.ts', '{base,pages}'), rules[2]!]), [
    'src/vm/*.ts may not import pages: only lower ranks',
  ]);
});

test('cycles: found between folders, inside one, and where only types are imported', () => {
  using tree = plant({
    'src/vm/a.ts': "import { b } from './b.ts';\nexport const a = () => b();\n",
    'src/vm/b.ts': "import { a } from './a.ts';\nexport const b = () => a();\n",
    'src/vm/c.ts': "import type { D } from './d.ts';\nexport interface C { d: D }\n",
    'src/vm/d.ts': "import type { C } from './c.ts';\nexport interface D { c: C }\n",
    'src/vm/e.ts': "import { a } from './a.ts';\nexport const e = a;\n",
  });
  assert.deepEqual(lint(tree, 'suspicious/noImportCycles'), [
    'src/vm/a.ts:1',
    'src/vm/b.ts:1',
    'src/vm/c.ts:1',
    'src/vm/d.ts:1',
  ]);
});

test('purity: clocks, dice, timers, sockets and files are found, look-alikes are not', () => {
  const planted: readonly (readonly [rule: string, code: string])[] = [
    ['style/noRestrictedGlobals', 'Date.now();'],
    ['style/noRestrictedGlobals', 'new Date();'],
    ['style/noRestrictedGlobals', 'performance.now();'],
    ['nursery/noJsRestrictedProperties', 'Math.random();'],
    ['nursery/noJsRestrictedProperties', 'AbortSignal.timeout(1);'],
    ['style/noRestrictedGlobals', 'setTimeout(f, 1);'],
    ['style/noRestrictedImports', "import net from 'node:net';"],
    ['style/noRestrictedImports', "await import('node:fs/promises');"],
    ['style/noRestrictedImports', "import { systemClock } from '../base/index.ts';"],
    ['style/noRestrictedGlobals', 'process.hrtime();'],
    ['style/noRestrictedGlobals', 'crypto.getRandomValues(bytes);'],
  ];
  const clean = [
    '// Date.now() is not allowed here',
    "const text = 'Math.random';",
    'clock.performance.now();',
    'const facts = { process: 1 };',
    'Math.max(1, 2);',
    "import { zstdCompressSync } from 'node:zlib';",
    "import { assert } from '../base/index.ts';",
  ];
  const code = planted.map(([, line]) => line).join('\n');
  using tree = plant({
    'src/engine/planted.ts': code,
    'src/engine/clean.ts': clean.join('\n'),
    'src/link/transports/tcp.ts': code.replaceAll('../base', '../../base'),
    'src/gateway/live.ts': code,
    'src/engine/planted.test.ts': code,
  });
  for (const rule of new Set(planted.map(([name]) => name)))
    assert.deepEqual(
      new Set(lint(tree, rule)),
      new Set(
        planted.flatMap(([name], index) => (name === rule ? [`src/engine/planted.ts:${index + 1}`] : [])),
      ),
      rule,
    );
});

test('size: long files and long functions are found, in every way to write a function', () => {
  const body = (count: number) => 'x();\n'.repeat(count);
  const long = [
    `export function f(a: { b: number }): Promise<Map<string, { c: 1 }>> {\n${body(80)}}`,
    `export const g = async (a: number): Promise<void> => {\n${body(80)}};`,
    `export class A {\n  method(): a is { b: 1 } {\n${body(80)}  }\n}`,
    `export const o = { value() {\n${body(80)}} };`,
    `export class B {\n  constructor(one: number) {\n${body(80)}  }\n}`,
  ];
  const fine = [
    `export class A {\n${'  m(): void {\n    x();\n  }\n'.repeat(40)}}`,
    `export function f() {\n${body(68)}}`,
    `export interface I {\n${'  m(a: number): { b: 1 };\n'.repeat(90)}}`,
    `export const table = {\n${'  a: [f(1)],\n'.repeat(90)}};`,
  ];
  const entries = [...long, ...fine].map((text, index) => [`src/base/f${index}.ts`, text] as const);
  using tree = plant({
    ...Object.fromEntries(entries),
    'src/base/long.ts': body(401),
    'src/base/short.ts': body(400),
    'test/c.ts': `function f() {\n${body(999)}}`,
  });
  assert.deepEqual(
    lint(tree, 'complexity/noExcessiveLinesPerFunction').map((place) => place.split(':')[0]),
    long.map((_, index) => `src/base/f${index}.ts`),
  );
  assert.deepEqual(lint(tree, 'style/noExcessiveLinesPerFile'), ['src/base/long.ts:1']);
});

test('console: only the command line and what is not product may use it', () => {
  const code = 'console.log(1);\n';
  using tree = plant({
    'src/lab/a.ts': code,
    'src/cli/a.ts': code,
    'bench/a.ts': code,
    'src/lab/a.test.ts': code,
  });
  assert.deepEqual(lint(tree, 'suspicious/noConsole'), ['src/lab/a.ts:1']);
});

test('dead code: files, exports and dependencies that nobody uses, and files that only a test uses', () => {
  using tree = plant({
    'bin/godwit.mjs': "import '../src/cli/main.ts';\nimport 'commander';\nimport 'yaml';\n",
    'src/cli/main.ts': "import { used } from '../base/index.ts';\nimport 'left-pad';\nused();",
    'src/base/index.ts': "export { unasked, used } from './used.ts';",
    'src/base/used.ts': [
      "export const used = () => new Worker(new URL('./worker.ts', import.meta.url));",
      'export const unasked = 1;',
      'export const internal = 2;',
      'used(internal);',
    ].join('\n'),
    'src/base/worker.ts': '',
    'src/base/lonely.ts': '',
    'src/base/tested.ts': 'export const tested = 1;',
    'src/base/tested.test.ts': "import { tested } from './tested.ts';\ntested;",
  });
  assert.deepEqual(
    findDead(tree).filter((each) => !each.startsWith('devDependencies')),
    [
      'dependencies package.json zod',
      'exports src/base/index.ts unasked',
      'exports src/base/used.ts internal',
      'exports src/base/used.ts unasked',
      'files src/base/lonely.ts src/base/lonely.ts',
      'unlisted src/cli/main.ts left-pad',
    ],
  );
  assert.deepEqual(findDead(tree, '--production', '--include=files'), [
    'files src/base/lonely.ts src/base/lonely.ts',
    'files src/base/tested.ts src/base/tested.ts',
  ]);
});

test('doors: code in an index.ts is found', () => {
  const project = Project.of({
    'src/vm/index.ts': "export { a, type B } from './a.ts';\nexport const c = 1;\nexport * from './d.ts';\n",
    'src/pages/index.ts': "/** A door. */\nexport {\n  a,\n  b,\n} from './a.ts';\n\nstart();\n",
    'src/base/index.ts':
      "export type { A } from './a.ts';\n// What else there is.\nexport {\n  a,\n} from './b.ts';\n",
  });
  assert.deepEqual(at(doors(project)), ['src/vm/index.ts:2', 'src/pages/index.ts:7']);
});

test('words: leftovers, machine paths and hosts are found', () => {
  const later = `TO${'DO'}`;
  const home = `/${'root'}/x`;
  const project = Project.of({
    'src/base/a.ts': `// ${later}: later\nconst word = '${later}S';\n\nopen('${home}');\nopen('.work/${'work'}/x');\n`,
    'docs/c.md': 'see http://mirror.example.net:8080/debian and mirrors.example.net, http://cache/x\n',
  });
  assert.deepEqual(at(leftovers(project)), ['src/base/a.ts:1']);
  assert.deepEqual(at(machinePaths(project)), ['src/base/a.ts:4']);
  assert.deepEqual(at(mirrorHosts(project, ['mirror.example.net'])), ['docs/c.md:1']);
  assert.deepEqual(at(mirrorHosts(project, ['cache'])), ['docs/c.md:1']);
  assert.deepEqual(at(mirrorHosts(project, ['example.net', 'see'])), []);
});

test('hosts: read from both formats of apt and from npm, public ones left out', () => {
  const text = [
    '# http://old.example.net/debian',
    'URIs: http://apt.example.net/debian',
    'deb [signed-by=/k] https://user:secret@two.example.net:3142/debian bookworm main',
    'registry=https://npm.example.net/',
    '//npm2.example.net/:_authToken=x',
    `deb http://${['deb', 'debian', 'org'].join('.')}/debian bookworm main`,
  ].join('\n');
  assert.deepEqual(hostsIn(text), [
    'apt.example.net',
    'two.example.net',
    'npm.example.net',
    'npm2.example.net',
  ]);
});

test('error codes: thrown but not explained, explained but not thrown', () => {
  const project = Project.of({
    'docs/errors.md': '| code | meaning |\n| `LINK_LOST` | gone |\n| `OLD_CODE` | gone too |\n',
    'src/base/a.ts':
      "throw new GodwitError('LINK_LOST', 'x');\nthrow new GodwitError(\n  'NEW_CODE',\n  'y');\n",
    'src/qmp/b.ts': "yield finding('warn', 'NEW_FINDING', text);\nthrow labError('NEW_LAB', text);\n",
  });
  assert.deepEqual(at(errorCodes(project)), [
    'src/base/a.ts:3',
    'src/qmp/b.ts:1',
    'src/qmp/b.ts:2',
    'docs/errors.md:3',
  ]);
  assert.deepEqual(errorCodes(Project.of({ 'src/base/a.ts': "new GodwitError('X_Y', '')" })), []);
});

test('links: broken ones are found, examples and addresses are not links', () => {
  const project = Project.of({
    'docs/a.md':
      '[ok](b.md#part) [up](../README.md) [web](https://example.net/x)\n[bad](c.md)\n```\n[x](y.md)\n```\n`[x](y.md)`\n',
    'README.md': '![gone](docs/picture.svg)\n',
  });
  const known = new Set(['docs/b.md', 'README.md']);
  assert.deepEqual(at(links(project, (path) => known.has(path))), ['docs/a.md:2', 'README.md:1']);
});

test('dependencies: one without a reason is found', () => {
  const manifest = '{\n"dependencies": {\n"zod": "1",\n"left-pad": "1"\n}}';
  const project = Project.of({ 'package.json': manifest, 'ARCHITECTURE.md': 'zod checks plans' });
  assert.deepEqual(at(dependencies(project)), ['package.json:4']);
});

test('folders: a row without a folder and a folder without a row are found', () => {
  const project = Project.of({
    'ARCHITECTURE.md': 'x\n| 0 | `src/base` | a |\n| 1 | `src/gone` | b |\n',
    'src/base/a.ts': '',
    'src/odd/deep/b.ts': '',
  });
  assert.deepEqual(at(folderTable(project)), ['ARCHITECTURE.md:3', 'ARCHITECTURE.md:1']);
});

test('comments: long ones and names of files that are gone are found, code and directives are not', () => {
  const long = 'word '.repeat(25);
  const gone = ['moved', 'ts'].join('.');
  const project = Project.of({
    'src/base/a.ts': [
      `// ${long}`,
      `/** ${long} */`,
      ` * ${long}`,
      ` * @param {string} a ${long}`,
      `const text = '// ${long}'; // ${long}`,
      `// ${'x'.repeat(107)}`,
    ].join('\n'),
    'src/base/b.ts': [
      `/** See a.ts and base/a.ts, not ${gone}. */`,
      `// link/a.ts is elsewhere; commands-*.ts and ${'`'}src/base/b.ts${'`'} are fine`,
      `const file = '${gone}';`,
    ].join('\n'),
  });
  assert.deepEqual(
    at(longComments(project)),
    [1, 2, 3].map((line) => `src/base/a.ts:${line}`),
  );
  assert.deepEqual(at(namedFiles(project)), ['src/base/b.ts:1', 'src/base/b.ts:2']);
});

test('paths: those of documents that are not there are found, folders and patterns are none', () => {
  const project = Project.of({
    'docs/a.md':
      'src/base/a.ts, `src/base/`, src/base\n(src/base/gone.ts)\nsrc/base/b*.ts, x/src/none\ndocs/gone.md\n',
  });
  const known = new Set(['src/base', 'src/base/a.ts']);
  assert.deepEqual(at(namedPaths(project, (path) => known.has(path))), ['docs/a.md:2', 'docs/a.md:4']);
});
