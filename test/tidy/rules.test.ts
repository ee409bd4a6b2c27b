/** Each rule against a planted violation, and against what looks like one but is none. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { deadFiles, doors, importDirection, purity } from './layout.ts';
import { Project, type Violation } from './project.ts';
import { fileLength, functionLength, functionsOf } from './size.ts';
import { tokenize } from './tokens.ts';
import {
  consoleUse,
  dependencies,
  errorCodes,
  hostsIn,
  leftovers,
  links,
  machinePaths,
  mirrorHosts,
} from './words.ts';

const at = (violations: readonly Violation[]) => violations.map(({ path, line }) => `${path}:${line}`);

test('tokens: comments, strings, templates and regular expressions are told apart', () => {
  const source = [
    "const a = 'it\\'s // no comment'; // yes",
    // biome-ignore lint/suspicious/noTemplateCurlyInString: it is source text to be split
    'const b = `x ${call({ a: `inner ${1}` })} // no comment`;',
    'const c = /[/"]+\\//g.test(b) / 2 / 3;',
    '/* two',
    'lines */ done();',
  ].join('\n');
  const tokens = tokenize(source);
  assert.deepEqual(
    tokens.filter(({ kind }) => kind === 'comment').map(({ text, line }) => [text, line]),
    [
      [' yes', 1],
      [' two\nlines ', 4],
    ],
  );
  assert.deepEqual(
    tokens.filter(({ kind }) => kind === 'regex').map(({ text }) => text),
    ['/[/"]+\\//g'],
  );
  assert.equal(tokens.find(({ text }) => text === 'done')?.line, 5);
  assert.equal(tokens.filter(({ kind }) => kind === 'template').length, 4);
});

test('ranks: upward, sideways, past the door, dynamic and type imports are found', () => {
  const project = Project.of({
    'src/strategy/index.ts': "export * from './a.ts';",
    'src/strategy/a.ts': [
      "import { x } from '../base/index.ts';",
      "import { y } from '../pages/index.ts';",
      "import type { z } from '../engine/index.ts';",
      "const late = () => import('../cli/index.ts');",
      "export { deep } from '../vm/deep.ts';",
      'const text = "import { n } from \'../engine/index.ts\'";',
    ].join('\n'),
    'src/strategy/a.test.ts': "import { x } from '../engine/index.ts';",
    'src/simulator/b.ts': "import { s } from '../stream/index.ts';\nimport { e } from '../engine/index.ts';",
    'src/oddity/c.ts': 'export const c = 1;',
  });
  assert.deepEqual(at(importDirection(project)), [
    'src/strategy/a.ts:2',
    'src/strategy/a.ts:3',
    'src/strategy/a.ts:4',
    'src/strategy/a.ts:5',
    'src/simulator/b.ts:1',
    'src/oddity/c.ts:1',
  ]);
});

test('purity: clocks, dice, timers, sockets and files are found, look-alikes are not', () => {
  const planted = [
    'Date.now();',
    'new Date();',
    'performance.now();',
    'Math.random();',
    'setTimeout(f, 1);',
    "import net from 'node:net';",
    "await import('node:fs/promises');",
    "import { systemClock } from '../base/index.ts';",
    'process.hrtime();',
  ];
  const clean = [
    '// Date.now() is not allowed here',
    "const text = 'Math.random';",
    'clock.performance.now();',
    'const facts = { process: 1 };',
    'Math.max(1, 2);',
    "import { zstdCompressSync } from 'node:zlib';",
  ];
  const found = purity(
    Project.of({
      'src/engine/planted.ts': planted.join('\n'),
      'src/engine/clean.ts': clean.join('\n'),
      'src/link/transports/tcp.ts': planted.join('\n'),
      'src/gateway/live.ts': planted.join('\n'),
      'src/engine/planted.test.ts': planted.join('\n'),
    }),
  );
  assert.deepEqual(
    [...new Set(at(found))].sort(),
    planted.map((_, index) => `src/engine/planted.ts:${index + 1}`),
  );
});

test('doors: code in an index.ts is found', () => {
  const project = Project.of({
    'src/vm/index.ts': "export { a, type B } from './a.ts';\nexport const c = 1;\nexport * from './d.ts';\n",
    'src/base/index.ts': "export type { A } from './a.ts';\n",
  });
  assert.deepEqual(at(doors(project)), ['src/vm/index.ts:2']);
});

test('dead files: unused, and used by its own test only; a worker named in a URL is used', () => {
  const project = Project.of({
    'src/cli/main.ts': "import '../gateway/index.ts';",
    'src/gateway/index.ts': "export { a } from './a.ts';",
    'src/gateway/a.ts': "new Worker(new URL('./worker.ts', import.meta.url));",
    'src/gateway/worker.ts': '',
    'src/gateway/lonely.ts': '',
    'src/gateway/lonely.test.ts': "import './lonely.ts';",
  });
  assert.deepEqual(at(deadFiles(project)), ['src/gateway/lonely.ts:1']);
});

test('size: long files and long functions are found, in every way to write a function', () => {
  const body = (count: number) => 'x();\n'.repeat(count);
  const long = [
    `function f(a: { b: number }): Promise<Map<string, { c: 1 }>> {\n${body(80)}}`,
    `const g = async (a: number): Promise<void> => {\n${body(80)}};`,
    `class A {\n  method(): a is { b: 1 } {\n${body(80)}  }\n}`,
    `const o = { get value() {\n${body(80)}} };`,
    `class B {\n  constructor(private: number) {\n${body(80)}  }\n}`,
    `function h(): { a: 1 } | null {\n${body(80)}}`,
  ];
  for (const text of long)
    assert.equal(functionLength(Project.of({ 'src/base/a.ts': text })).length, 1, text.slice(0, 60));
  const fine = [
    `class A {\n${'  m(): void {\n    x();\n  }\n'.repeat(40)}}`,
    `function f() {\n${body(68)}}`,
    `interface I {\n${'  m(a: number): { b: 1 };\n'.repeat(90)}}`,
    `const table = {\n${'  a: [f(1)],\n'.repeat(90)}};`,
  ];
  for (const text of fine)
    assert.deepEqual(functionLength(Project.of({ 'src/base/a.ts': text })), [], text.slice(0, 60));
  const one = Project.of({ 'src/base/a.ts': `if (a) {\n${body(3)}}\nfunction f(): void {\n${body(2)}}` });
  assert.deepEqual(functionsOf(one.sources[0]!), [{ line: 6, lines: 4 }]);
  assert.deepEqual(
    at(
      fileLength(
        Project.of({ 'src/base/a.ts': body(401), 'src/base/b.ts': body(400), 'test/c.ts': body(999) }),
      ),
    ),
    ['src/base/a.ts:401'],
  );
});

test('words: leftovers, machine paths, hosts and console output are found', () => {
  const later = `TO${'DO'}`;
  const home = `/${'root'}/x`;
  const project = Project.of({
    'src/base/a.ts': `// ${later}: later\nconst word = '${later}';\nconsole.log(1);\nopen('${home}');\nopen('.work/${'work'}/x');\n`,
    'src/cli/b.ts': 'console.log(1);',
    'docs/c.md': 'see http://mirror.example.net:8080/debian and mirrors.example.net, http://cache/x\n',
  });
  assert.deepEqual(at(leftovers(project)), ['src/base/a.ts:1']);
  assert.deepEqual(at(machinePaths(project)), ['src/base/a.ts:4']);
  assert.deepEqual(at(consoleUse(project)), ['src/base/a.ts:3']);
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
  });
  assert.deepEqual(at(errorCodes(project)), ['src/base/a.ts:3', 'docs/errors.md:3']);
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
