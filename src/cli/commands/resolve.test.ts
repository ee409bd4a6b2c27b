/** `godwit resolve` against fake QEMUs: what it lists, what it ends, and how it exits. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeQmpServer, fakeReturn } from '../../qmp/fake.testing.ts';
import { processIdentity } from '../../qmp/index.ts';
import { Journal, type JournalEntry, journalPathOf, readJournal } from '../../recovery/index.ts';
import { main } from '../main.ts';

let folder = '';
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'godwit-resolve-test-'));
  process.env['GODWIT_STATE_DIR'] = folder;
});
afterEach(() => {
  delete process.env['GODWIT_STATE_DIR'];
  rmSync(folder, { recursive: true, force: true });
});

async function run(...args: string[]) {
  let out = '';
  const write = (text: string) => void (out += text);
  const code = await main(['resolve', ...args], { out: { write }, err: { write } });
  return { code, out };
}

/** A QEMU that knows `stop`, `cont` and `quit`. */
async function qemu(name: string, runState: string): Promise<FakeQmpServer & { state: () => string }> {
  let status = runState;
  const fake = await FakeQmpServer.listen({ path: join(folder, name) });
  fake.answer('query-status', () => fakeReturn({ status, running: status === 'running' }));
  fake.answer('query-migrate', fakeReturn({ status: 'failed' }));
  fake.answer('cont', () => {
    status = 'running';
    return fakeReturn();
  });
  fake.answer('quit', () => {
    status = 'gone';
    setImmediate(() => void fake.close());
    return fakeReturn();
  });
  return Object.assign(fake, { state: () => status });
}

function journal(id: string, ...steps: JournalEntry[]): string {
  const path = journalPathOf(folder, id);
  const file = new Journal(path);
  const begin: JournalEntry = {
    step: 'begin',
    migrationId: id,
    controller: null,
    source: { qmpPath: join(folder, 'a'), identity: null, reach: null },
    destination: { qmpPath: join(folder, 'b'), identity: null, reach: null },
    sourceAfter: 'keep',
    guestWasRunning: true,
  };
  for (const line of [begin, ...steps]) file.write(line);
  file.close();
  return path;
}

test('nothing to do is said and is no failure', async () => {
  const { code, out } = await run();
  assert.equal(code, 0);
  assert.match(out, /no unfinished migration/);
  journal('done', { step: 'end', outcome: 'completed', text: 'x' });
  assert.equal((await run()).code, 0);
});

test('unfinished migrations are listed with how far they came', async () => {
  journal('m1', { step: 'stop' });
  journal('m2', { step: 'commit' }, { step: 'end', outcome: 'in-doubt', text: 'x' });
  const { code, out } = await run('--json');
  assert.equal(code, 3);
  const found = JSON.parse(out).migrations as { migrationId: string; standing: string; lastStep: string }[];
  assert.deepEqual(
    found.map(({ migrationId, standing, lastStep }) => [migrationId, standing, lastStep]).sort(),
    [
      ['m1', 'unfinished', 'source stopped'],
      ['m2', 'in-doubt', 'committed'],
    ],
  );
  assert.match((await run()).out, /godwit resolve MIGRATION/);
});

test('before COMMIT the source is brought back and the journal closed', async () => {
  const path = journal('m', { step: 'stop' }, { step: 'prepared' });
  await using source = await qemu('a', 'paused');
  const destination = await qemu('b', 'paused');
  const { code, out } = await run('m', '--json');
  assert.deepEqual([code, JSON.parse(out).outcome], [0, 'aborted']);
  assert.deepEqual([source.state(), destination.state()], ['running', 'gone']);
  assert.equal(readJournal(path).end?.outcome, 'aborted');
});

test('after COMMIT the destination is started', async () => {
  const path = journal('m', { step: 'stop' }, { step: 'prepared' }, { step: 'commit' });
  await using source = await qemu('a', 'postmigrate');
  await using destination = await qemu('b', 'paused');
  const { code, out } = await run(path);
  assert.equal(code, 0);
  assert.match(out, /^completed/);
  assert.deepEqual([source.state(), destination.state()], ['postmigrate', 'running']);
});

test('a destination that is gone after COMMIT is in doubt: exit code 3, nothing started', async () => {
  journal('m', { step: 'stop' }, { step: 'prepared' }, { step: 'commit' });
  await using source = await qemu('a', 'postmigrate');
  const { code, out } = await run('m');
  assert.equal(code, 3);
  assert.match(out, /Boot the VM from its disk/);
  assert.equal(source.state(), 'postmigrate');
});

test('a migration whose controller lives is left alone', async () => {
  const controller = await processIdentity(process.pid);
  const path = journalPathOf(folder, 'live');
  const file = new Journal(path);
  file.write({ ...readJournal(journal('other')).begin, migrationId: 'live', controller });
  file.close();
  const { code, out } = await run('live');
  assert.equal(code, 1);
  assert.match(out, /MIGRATION_UNDER_WAY/);
});

test('what is no journal is an error', async () => {
  assert.match((await run('nothing')).out, /JOURNAL_READ/);
});
