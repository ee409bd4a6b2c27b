/** What a far host says of a process, and what that proves. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { processIdentity } from '../qmp/index.ts';
import { isAliveIn, isFarProcessAlive } from './far-process.ts';

const BOOT = '01234567-89ab-cdef-0123-456789abcdef';
const stat = (start: number, state = 'S') => `7 (qemu (a) b) ${state} ${'1 '.repeat(18)}${start} 0 0\n`;

test('only a word about the process proves anything', () => {
  const identity = `7@55@${BOOT}`;
  for (const [text, alive] of [
    [stat(55), true],
    [stat(56), false],
    [stat(55, 'Z'), false],
    ['sh: 1: kill: No such process\n', false],
    // Hidden, and there; or there, and of somebody else; or the host could not look.
    ['', null],
    ['sh: kill: (7) - Operation not permitted\n', null],
    ['sh: fork: Resource temporarily unavailable\n', null],
  ] as const) {
    assert.equal(isAliveIn(`${BOOT}\n${text}`, identity), alive, text);
  }
  assert.equal(isAliveIn(`${BOOT.replace('0', '1')}\n`, identity), false);
  assert.equal(isAliveIn('Connection refused\n', identity), null);
  assert.equal(isAliveIn(null, identity), null);
});

test('a real shell says so', async () => {
  const reach = { command: [], host: null };
  const own = (await processIdentity(process.pid))!;
  const ask = (identity: string) => isFarProcessAlive(reach, identity, new AbortController().signal);
  assert.equal(await ask(own), true);
  assert.equal(await ask(own.replace(/@\d+@/, '@1@')), false);
  assert.equal(await ask(own.replace(/^\d+/, `${2 ** 22 + 1}`)), false);
});
