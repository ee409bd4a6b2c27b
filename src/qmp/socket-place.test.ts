import assert from 'node:assert/strict';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { SocketFolder } from './socket-folder.ts';
import { findSocketPlace, judgeRights, SOCKET_PATH_BYTES_MAX, type SocketPlace } from './socket-place.ts';

const STRANGER = 61_234;
const root = { userId: 0, groupIds: [0] };
const user = { userId: 1000, groupIds: [1000, 64] };

test('who may give a socket to whom', () => {
  const qemu = { userId: 107, groupId: 64 };
  const ours = { owner: null, byGroup: false };
  assert.deepEqual(judgeRights('listens', user, { userId: 1000, groupId: 1 }), ours);
  assert.deepEqual(judgeRights('listens', user, null), ours);
  assert.deepEqual(judgeRights('listens', root, qemu), { owner: qemu, byGroup: false });
  // Root may connect anywhere, but what root makes is root's.
  assert.deepEqual(judgeRights('connects', user, { userId: 0, groupId: 0 }), ours);
  assert.ok('refusal' in judgeRights('listens', user, { userId: 0, groupId: 0 }));
  const byGroup = { owner: { userId: 1000, groupId: 64 }, byGroup: true };
  assert.deepEqual(judgeRights('connects', user, qemu), byGroup);
  assert.ok('refusal' in judgeRights('listens', user, qemu));
  const refused = judgeRights('connects', user, { userId: 107, groupId: 107 });
  assert.match('refusal' in refused ? refused.refusal : '', /user 107 and godwit as user 1000/);
});

function folderOf(t: TestContext): string {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-place-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  // QEMU's user must be able to pass through in the tests that have one.
  chmodSync(folder, 0o755);
  return folder;
}

async function placeOf(folder: string, runsAs: number | null): Promise<SocketPlace> {
  const qemu = runsAs === null ? null : { pid: process.pid, userId: runsAs, groupId: runsAs, argv: [] };
  const place = await findSocketPlace({
    role: 'listens',
    qemu: qemu && { ...qemu, workingFolder: null },
    qmpPath: null,
    self: root,
    folders: [folder],
  });
  assert.ok(!('refusal' in place), JSON.stringify(place));
  return place;
}

test('a TMPDIR that is missing, too long, no folder or closed to QEMU gives way to another folder', async (t) => {
  const folder = folderOf(t);
  const long = join(folder, 'x'.repeat(SOCKET_PATH_BYTES_MAX));
  mkdirSync(long);
  writeFileSync(join(folder, 'file'), '');
  const closed = join(folder, 'closed');
  mkdirSync(join(closed, 'inner'), { recursive: true });
  chmodSync(closed, 0o700);
  for (const useless of [long, join(folder, 'missing'), join(folder, 'file'), 'relative']) {
    assert.equal((await placeOf(useless, null)).here, '/tmp', useless);
  }
  assert.equal((await placeOf(join(closed, 'inner'), STRANGER)).here, '/tmp');
  assert.equal((await placeOf(join(closed, 'inner'), null)).here, join(closed, 'inner'));
  assert.deepEqual(await placeOf(folder, STRANGER), {
    ...{ role: 'listens', here: folder, there: folder, byGroup: false },
    owner: { userId: STRANGER, groupId: STRANGER },
  });
});

test('the owner of its QMP socket stands for a QEMU that cannot be seen', async (t) => {
  const folder = folderOf(t);
  writeFileSync(join(folder, 'a.qmp'), '');
  const place = await findSocketPlace({
    ...{ role: 'connects' as const, qemu: null, qmpPath: join(folder, 'a.qmp'), folders: [folder] },
    self: { userId: process.geteuid!() + 1, groupIds: [statSync(folder).gid] },
  });
  assert.ok('byGroup' in place && place.byGroup === (process.geteuid!() !== 0));
});

test('a private folder: nobody else enters it, and it goes with all that is in it', (t) => {
  const folder = folderOf(t);
  const place = { role: 'connects' as const, here: folder, there: '/elsewhere', owner: null, byGroup: false };
  const sockets = SocketFolder.make(place);
  const own = join(sockets.here('a.sock'), '..');
  assert.equal(statSync(own).mode & 0o777, 0o700);
  assert.match(sockets.there('a.sock'), /^\/elsewhere\/godwit-[\w-]+\/a\.sock$/);
  writeFileSync(sockets.here('a.sock'), '');
  sockets.giveToQemu('a.sock');
  assert.equal(statSync(sockets.here('a.sock')).mode & 0o777, 0o600);
  sockets.remove();
  assert.ok(!existsSync(own));

  const owner = { userId: process.geteuid!(), groupId: process.getegid!() };
  const grouped = SocketFolder.make({ ...place, owner, byGroup: true });
  writeFileSync(grouped.here('a.sock'), '');
  grouped.giveToQemu('a.sock');
  assert.equal(statSync(join(grouped.here('a.sock'), '..')).mode & 0o777, 0o710);
  assert.equal(statSync(grouped.here('a.sock')).mode & 0o777, 0o660);

  assert.throws(() => SocketFolder.make({ refusal: 'nowhere' }), {
    code: 'SOCKET_FOLDER',
    message: 'nowhere',
  });
  assert.throws(() => SocketFolder.make({ ...place, here: join(folder, 'missing') }), {
    code: 'SOCKET_FOLDER',
  });
});

test("a folder where root listens stays root's: its user could swap our socket for a link", {
  skip: process.geteuid!() !== 0 && 'only root gives sockets away',
}, (t) => {
  const folder = folderOf(t);
  const place = {
    here: folder,
    there: folder,
    byGroup: false,
    owner: { userId: STRANGER, groupId: STRANGER },
  };
  const ours = SocketFolder.make({ ...place, role: 'connects' });
  const facts = statSync(join(ours.here('a'), '..'));
  assert.deepEqual([facts.uid, facts.mode & 0o777], [0, 0o711]);
  const theirs = SocketFolder.make({ ...place, role: 'listens' });
  const given = statSync(join(theirs.here('a'), '..'));
  assert.deepEqual([given.uid, given.mode & 0o777], [STRANGER, 0o700]);
  // A link in the place of the socket is given away itself, and not what it points to.
  const victim = join(folder, 'victim');
  writeFileSync(victim, '', { mode: 0o600 });
  symlinkSync(victim, ours.here('a'));
  ours.giveToQemu('a');
  assert.equal(statSync(victim).uid, 0);
});
