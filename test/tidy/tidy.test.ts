/**
 * The style of the whole tree, as tests: each rule names file, line and reason.
 * Not responsible for what Biome and knip find: `npm test` runs them before the tests.
 */

import assert from 'node:assert/strict';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import test from 'node:test';
import { longComments, namedFiles } from './comments.ts';
import { doors, folderTable, importRules } from './layout.ts';
import { loadProject, type Violation } from './project.ts';
import {
  dependencies,
  errorCodes,
  hostsOfThisMachine,
  leftovers,
  links,
  machinePaths,
  mirrorHosts,
  namedPaths,
} from './words.ts';

const root = join(import.meta.dirname, '..', '..');
const project = loadProject(root);

const exists = (path: string) => existsSync(join(root, path));

function none(violations: readonly Violation[]): void {
  const lines = violations.map(({ path, line, rule, why }) => `${path}:${line}  ${rule}: ${why}`);
  if (lines.length > 0) assert.fail(`${lines.length} to mend\n${lines.join('\n')}`);
}

test('the tree is there to look at', () => {
  assert.ok(project.product.length > 0, 'no source files were found: the other tests would prove nothing');
});

test('every folder has a rank and an import rule, and no rule points upward', () =>
  none(importRules(project)));
test('the table of folders is the tree', () => none(folderTable(project)));
test('an index.ts only re-exports', () => none(doors(project)));
test('nothing is left for later', () => none(leftovers(project)));
test('no path of one machine', () => none(machinePaths(project)));
test('no host of a package mirror', () => none(mirrorHosts(project, hostsOfThisMachine())));
test('every error code is explained', () => none(errorCodes(project)));
test('links in documents lead somewhere', () => none(links(project, exists)));
test('comments wrap where code wraps', () => none(longComments(project)));
test('files that comments name are there', () => none(namedFiles(project)));
test('paths that documents name are there', () => none(namedPaths(project, exists)));
test('every dependency has a reason', () => none(dependencies(project)));
