/** The archive against a second, naive reader. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { type CpioEntry, cpioArchive } from './cpio.ts';

interface Read {
  readonly path: string;
  readonly mode: number;
  readonly device: string;
  readonly text: string;
}

function readArchive(archive: Buffer): Read[] {
  const found: Read[] = [];
  for (let at = 0; ; ) {
    assert.equal(archive.toString('latin1', at, at + 6), '070701');
    const field = (index: number) =>
      Number.parseInt(archive.toString('latin1', at + 6 + index * 8, at + 14 + index * 8), 16);
    const [mode, size, nameSize] = [field(1), field(6), field(11)];
    const path = archive.toString('latin1', at + 110, at + 110 + nameSize - 1);
    const begin = Math.ceil((at + 110 + nameSize) / 4) * 4;
    if (path === 'TRAILER!!!') return found;
    found.push({
      path,
      mode,
      device: `${field(9)}:${field(10)}`,
      text: archive.toString('latin1', begin, begin + size),
    });
    at = Math.ceil((begin + size) / 4) * 4;
  }
}

const file = (path: string, text: string, executable = false): CpioEntry => ({
  kind: 'file',
  path,
  bytes: Buffer.from(text),
  executable,
});

test('files, folders, links and devices are read back, folders before what is in them', () => {
  const archive = cpioArchive([
    file('usr/bin/program', 'abcde', true),
    { kind: 'link', path: 'usr/bin/other', target: 'program' },
    { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
    file('empty', ''),
  ]);
  assert.deepEqual(
    readArchive(archive).map(({ path, mode, device, text }) => [path, mode.toString(8), device, text]),
    [
      ['dev', '40755', '0:0', ''],
      ['dev/console', '20600', '5:1', ''],
      ['empty', '100644', '0:0', ''],
      ['usr', '40755', '0:0', ''],
      ['usr/bin', '40755', '0:0', ''],
      ['usr/bin/other', '120777', '0:0', 'program'],
      ['usr/bin/program', '100755', '0:0', 'abcde'],
    ],
  );
  assert.equal(archive.length % 4, 0);
});

test('the order in which entries are given does not matter', () => {
  const entries = [file('b', '2'), file('a/c', '1'), file('a', '3')];
  const [one, other] = [[...entries], [...entries].reverse()].map((order) =>
    cpioArchive(order.filter(({ path }) => path !== 'a')),
  );
  assert.deepEqual(one, other);
});

test('a path that leaves the archive is refused', () => {
  assert.throws(() => cpioArchive([file('/etc/passwd', '')]));
});
