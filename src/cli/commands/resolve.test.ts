/** `godwit resolve` against fake QEMUs: what it lists, what it ends, and how it exits. */

import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { FakeQmpServer, fakeReturn } from '../../qmp/fake.testing.ts';
import { processIdentity, processNamespace } from '../../qmp/index.ts';
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

function beginOf(id: string, controller: string | null = null) {
  const end = { identity: null, claim: null, reach: null };
  return {
    step: 'begin',
    migrationId: id,
    startedAtMs: 0,
    ...{ controller, controllerNamespace: null, vm: null, onEnd: null },
    source: { qmpPath: join(folder, 'a'), ...end },
    destination: { qmpPath: join(folder, 'b'), ...end },
    sourceAfter: 'keep',
    guestWasRunning: true,
  } as const;
}

function journal(id: string, ...steps: JournalEntry[]): string {
  return journalOf(beginOf(id), ...steps);
}

function journalOf(begin: Extract<JournalEntry, { step: 'begin' }>, ...steps: JournalEntry[]): string {
  const path = journalPathOf(folder, begin.migrationId);
  rmSync(path, { force: true });
  const file = Journal.begin(path, begin);
  for (const line of steps) file.write(line);
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
  const begin = beginOf('m');
  const steps: JournalEntry[] = [{ step: 'stop' }, { step: 'prepared' }, { step: 'commit' }];
  await using source = await qemu('a', 'postmigrate');
  for (const [identity, told] of [
    [`${process.pid}@1@another-boot`, /Boot the VM from its disk/],
    [null, /may run/],
  ] as const) {
    journalOf({ ...begin, destination: { ...begin.destination, identity } }, ...steps);
    const { code, out } = await run('m');
    assert.equal(code, 3);
    assert.match(out, told);
  }
  assert.equal(source.state(), 'postmigrate');
});

test('a migration whose controller lives is left alone', async () => {
  const controller = await processIdentity(process.pid);
  const path = journalPathOf(folder, 'live');
  Journal.begin(path, beginOf('live', controller)).close();
  const { code, out } = await run('live');
  assert.equal(code, 1);
  assert.match(out, /MIGRATION_UNDER_WAY/);
});

test('a damaged journal is listed, never acted on, and closed only by its operator', async () => {
  const path = journal('damaged', { step: 'stop' }, { step: 'prepared' });
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, text.replace('"stop"', '"stxp"'));
  assert.match((await run()).out, /damaged.*unreadable/);
  const { code, out } = await run('damaged');
  assert.deepEqual([code, /JOURNAL_DAMAGED/.test(out)], [1, true]);
  assert.equal((await run('damaged', '--forget')).code, 0);
  assert.doesNotMatch((await run()).out, /damaged/);
});

test('only a journal is put aside: another file stays what and where it is', async () => {
  const path = join(folder, 'notes.txt');
  writeFileSync(path, 'not a journal\n');
  for (const options of [['--forget'], []]) {
    const { code, out } = await run(path, ...options);
    assert.deepEqual([code, /JOURNAL_READ/.test(out)], [1, true]);
  }
  assert.equal(readFileSync(path, 'utf8'), 'not a journal\n');
});

test('a journal is history once a later one names the VM', async () => {
  await using source = await qemu('a', 'paused');
  await using destination = await qemu('b', 'paused');
  for (const [id, startedAtMs] of [
    ['early', 1],
    ['late', 2],
  ] as const) {
    const file = Journal.begin(journalPathOf(folder, id), { ...beginOf(id), vm: 'one VM', startedAtMs });
    file.write({ step: 'stop' });
    file.close();
  }
  const { code, out } = await run('early');
  assert.deepEqual([code, /late took this VM on later/.test(out)], [3, true]);
  assert.deepEqual([source.state(), destination.state()], ['paused', 'paused']);
  assert.equal((await run('late')).code, 0);
});

test('an end that the operator vouches for is not asked', async () => {
  journal('fenced', { step: 'stop' }, { step: 'prepared' });
  await using source = await qemu('a', 'paused');
  await using destination = await qemu('b', 'paused');
  assert.equal((await run('fenced', '--fenced', 'destination')).code, 0);
  assert.deepEqual([source.state(), destination.state()], ['running', 'paused']);
});

test('an ended migration lets go of both QEMUs, where whoever ended it could not', async () => {
  const path = journalPathOf(folder, 'm');
  const begin = beginOf('m');
  const file = Journal.begin(path, {
    ...begin,
    source: { ...begin.source, claim: 'm' },
    destination: { ...begin.destination, claim: 'm' },
  });
  file.write({ step: 'end', outcome: 'completed', text: 'x' });
  file.close();
  await using source = await qemu('a', 'postmigrate');
  await using destination = await qemu('b', 'running');
  for (const end of [source, destination]) {
    const claim = { migrationId: 'm', holder: 'a test', journal: path };
    end.answer('qom-get', fakeReturn(JSON.stringify(claim)));
    end.answer('object-del', fakeReturn());
    end.answer('query-cpus-fast', fakeReturn([]));
  }
  for (const args of [['m'], ['m', '--forget']]) {
    assert.equal((await run(...args)).code, 0);
    for (const { requests } of [source, destination]) {
      assert.deepEqual(requests.pop(), { name: 'object-del', args: { id: 'godwit-claim' }, oob: false });
    }
  }
});

test('what a killed controller left goes with any resolve, also where nothing is open', async () => {
  const dead = journalPathOf(folder, 'dead');
  const namespace = await processNamespace();
  const killed = { ...beginOf('dead', `${process.pid}@1@another-boot`), controllerNamespace: namespace };
  const file = Journal.begin(dead, killed);
  file.write({ step: 'end', outcome: 'completed', text: 'x' });
  file.close();
  const live = journalPathOf(folder, 'live');
  const controller = await processIdentity(process.pid);
  Journal.begin(live, { ...beginOf('live', controller), controllerNamespace: namespace }).close();
  for (const path of [dead, live]) writeFileSync(join(dirname(path), 'control.sock'), '');
  assert.equal((await run()).code, 0);
  assert.deepEqual(
    [dead, live].map((path) => existsSync(join(dirname(path), 'control.sock'))),
    [false, true],
  );
});

test('a later journal makes an older one void, also where that one lies in another state folder', async () => {
  const elsewhere = join(folder, 'elsewhere');
  const begin = { ...beginOf('older'), vm: 'vm' };
  const older = journalPathOf(elsewhere, 'older');
  Journal.begin(older, begin).close();
  const later = { ...begin, migrationId: 'later', startedAtMs: 1 };
  await using source = await qemu('a', 'paused');
  Journal.begin(journalPathOf(elsewhere, 'later'), later).close();
  assert.match((await run(older)).out, /migration later took this VM on later/);
  rmSync(dirname(journalPathOf(elsewhere, 'later')), { recursive: true });
  journalOf(later, { step: 'end', outcome: 'completed', text: 'x' });
  assert.match((await run(older)).out, /migration later took this VM on later/);
  assert.equal(source.state(), 'paused');
});

test('what is no journal is an error', async () => {
  assert.match((await run('nothing')).out, /JOURNAL_READ/);
});
