/** The agent's lines, and what is none of them. */

import assert from 'node:assert/strict';
import test from 'node:test';
import { parseGuestLine } from '../guest/index.ts';
import { packageOf, parseUris, resolvePackages } from './packages.ts';
import { parseLinuxLine } from './parse.ts';
import { LINUX_GUEST_DEFAULTS, LINUX_PROGRAMS, linuxCommandLine } from './programs.ts';

test('ready, verified and complaint', () => {
  assert.deepEqual(parseLinuxLine('L ready program=stress files=23 pages=6491 beat=20'), {
    ...{ kind: 'ready', program: 'stress', files: 23, pages: 6491 },
  });
  const line = 'L verified files=23 pages=6491 badfiles=1 badpages=4096 alive=0 complaints=2';
  assert.deepEqual(parseLinuxLine(line), {
    ...{ kind: 'verified', files: 23, pages: 6491, badFiles: 1, badPages: 4096 },
    ...{ programAlive: false, complaintCount: 2 },
  });
  assert.deepEqual(parseLinuxLine('L complaint [ 1.0] BUG: x'), { kind: 'complaint', text: '[ 1.0] BUG: x' });
  for (const cut of [line.slice(0, -1), line.slice(1), 'L verified', 'L ready program=', 'H 1 2 -', '']) {
    assert.equal(parseLinuxLine(cut), null);
  }
});

test('a beat that counts no pages is a beat', () => {
  assert.deepEqual(parseGuestLine('H 7 140 -'), {
    ...{ kind: 'heartbeat', counter: 7, guestMs: 140, pagesWritten: null, diskSequence: null },
  });
});

test("apt's list of files, and a package by its file", () => {
  const text = [
    'Reading package lists...',
    "'http://archive.invalid/pool/main/s/stress/stress_1.0.7-1_amd64.deb' stress_1.0.7-1_amd64.deb 21944 MD5Sum:25ed",
    "'file:/z/zlib1g_1.2.13.dfsg-1_amd64.deb' zlib1g_1%3a1.2.13.dfsg-1_amd64.deb 86684 ",
  ].join('\n');
  const files = parseUris(text);
  assert.deepEqual(files, ['stress_1.0.7-1_amd64.deb', 'zlib1g_1%3a1.2.13.dfsg-1_amd64.deb']);
  assert.deepEqual(files.map(packageOf), ['stress=1.0.7-1', 'zlib1g=1:1.2.13.dfsg-1']);
});

test('every program has a command line of plain words; sizes are checked', () => {
  for (const program of LINUX_PROGRAMS) {
    const line = linuxCommandLine({ ...LINUX_GUEST_DEFAULTS, program });
    assert.match(line, new RegExp(`(^| )program=${program}( |$)`));
    assert.match(line, /^[\w=./ -]+$/);
  }
  const wrong = { ...LINUX_GUEST_DEFAULTS, program: 'stress', stressBytes: 1.5 } as const;
  assert.throws(() => linuxCommandLine(wrong), { code: 'USAGE_VALUE' });
});

test('what apt does not know, or no apt at all, is a reason and not a crash', async () => {
  await assert.rejects(resolvePackages(['no-such-package-as-this']), {
    code: 'LAB_PACKAGES',
    message: /cannot be had/,
  });
});
