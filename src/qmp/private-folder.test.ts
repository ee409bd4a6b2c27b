/** Folders of processes that live, that were killed, and of such names that are nobody's. */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { type TestContext, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import { makePrivateFolder, removePrivateFolder, sweepPrivateFolders } from './private-folder.ts';

const MODULE = pathToFileURL(join(import.meta.dirname, 'private-folder.ts')).href;
/** Another process makes a folder with a socket in it, says which, and waits. */
const OWNER = `
  import { createServer } from 'node:net';
  const { makePrivateFolder } = await import('${MODULE}');
  const folder = makePrivateFolder();
  createServer().listen(folder + '/stream.sock', () => process.stdout.write(folder + '\\n'));
`;

function temporary(t: TestContext): string {
  const before = process.env['TMPDIR'];
  const folder = mkdtempSync(join(tmpdir(), 'godwit-test-'));
  process.env['TMPDIR'] = folder;
  t.after(() => {
    if (before === undefined) delete process.env['TMPDIR'];
    else process.env['TMPDIR'] = before;
    rmSync(folder, { recursive: true });
  });
  return folder;
}

async function owner(t: TestContext): Promise<{ folder: string; kill: () => Promise<void> }> {
  const child: ChildProcess = spawn(process.execPath, ['--input-type=module', '-e', OWNER], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  const kill = async () => {
    child.kill('SIGKILL');
    await exited;
  };
  t.after(kill);
  const [line] = await once(child.stdout!, 'data');
  return { folder: String(line).trim(), kill };
}

test('a folder stays while its process lives, and goes once it was killed', async (t) => {
  temporary(t);
  const { folder, kill } = await owner(t);
  sweepPrivateFolders();
  assert.deepEqual(readdirSync(folder), ['stream.sock']);
  await kill();
  sweepPrivateFolders();
  assert.equal(existsSync(folder), false);
});

test('its own process removes it, and may do so twice', (t) => {
  const place = temporary(t);
  const folder = makePrivateFolder();
  // Room for the longest socket name in it, also where the temporary folder's own name is long.
  assert.ok(basename(folder).length <= 48, folder);
  removePrivateFolder(folder);
  removePrivateFolder(folder);
  assert.deepEqual(readdirSync(place), []);
});

test('what is no socket is not touched, and neither is what a link leads to', async (t) => {
  const place = temporary(t);
  const first = await owner(t);
  const second = await owner(t);
  await Promise.all([first.kill(), second.kill()]);
  writeFileSync(join(first.folder, 'precious.sock'), 'a file');
  const elsewhere = join(place, 'elsewhere');
  renameSync(second.folder, elsewhere);
  symlinkSync(elsewhere, second.folder);
  sweepPrivateFolders();
  assert.deepEqual(readdirSync(first.folder), ['precious.sock']);
  assert.deepEqual(readdirSync(elsewhere), ['stream.sock']);
});

test('names that say nothing of a process are left alone', async (t) => {
  const place = temporary(t);
  const { folder, kill } = await owner(t);
  await kill();
  const [, , processId, start, random] = basename(folder).split('-');
  const names = [
    // Another process namespace, a process that nobody could see, other programs' folders.
    ['godwit', '1', processId, start, random].join('-'),
    ['godwit', 'x', processId, 'x', random].join('-'),
    'godwit-Ab12Cd',
    'godwit-test-Ab12Cd',
  ];
  for (const name of names) mkdirSync(join(place, name));
  sweepPrivateFolders();
  assert.deepEqual(readdirSync(place).sort(), names.toSorted());
});
