import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import test from 'node:test';
import { splitWords } from './words.ts';

test('commands are split as a shell splits them', () => {
  const commands = [
    'ssh',
    '  ssh -p 22  ',
    `ssh -o 'ProxyCommand=nc -x "p" %h %p'`,
    'ssh -i "/a b/key" -F a\\ b',
    `a"b c"'d e'f`,
    `"a\\"b" "c\\d" '\\' ""`,
    "ssh ''",
  ];
  for (const command of commands) {
    const shell = execFileSync('sh', ['-c', `printf '%s\\0' ${command}`], { encoding: 'utf8' });
    assert.deepEqual(splitWords('--rsh', command), shell.split('\0').slice(0, -1), command);
  }
});

test('nothing is expanded', () => {
  assert.deepEqual(splitWords('--rsh', 'ssh $HOME `id` * ~'), ['ssh', '$HOME', '`id`', '*', '~']);
});

test('an open quote, a trailing backslash and no word are refused', () => {
  for (const command of ['', '   ', `ssh 'a`, 'ssh "a', 'ssh a\\', `a"b`]) {
    assert.throws(() => splitWords('--rsh', command), { code: 'USAGE_VALUE' }, command);
  }
});
