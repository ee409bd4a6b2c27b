/**
 * Kinds of VM that two real QEMUs are compared with before a move; skipped, with the reason,
 * where there is none.
 */

import assert from 'node:assert/strict';
import { rmSync } from 'node:fs';
import { basename, join } from 'node:path';
import test from 'node:test';
import { compareMachines, type Finding, gatherMachine } from './index.ts';
import { bootAndConnect, folderOf, missing } from './qemu.testing.ts';

/** What a comparison finds, but for the paused source that these tests always have. */
function told(findings: readonly Finding[]): string[] {
  return findings
    .map(({ severity, code }) => `${severity} ${code}`)
    .filter((one) => one !== 'info SOURCE_STATE');
}

const INCOMING = ['-incoming', 'defer'];

test('RAM of both in one shared file is refused; private or nameless it is not', {
  skip: missing,
}, async (t) => {
  const folder = folderOf(t);
  const file = join('/dev/shm', `${basename(folder)}.ram`);
  t.after(() => rmSync(file, { force: true }));
  const machine = (share: 'on' | 'off', path: string) => [
    ...['-m', '32', '-machine', 'pc,memory-backend=ram', '-object'],
    `memory-backend-file,id=ram,size=32M,mem-path=${path},share=${share}`,
  ];
  const gathered = async (name: string, args: readonly string[], elsewhere = false) => {
    const client = await bootAndConnect(t, folder, name, args);
    const machine = await gatherMachine(client, { elsewhere });
    await client.close();
    return machine;
  };
  const source = await gathered('a', [...machine('on', file), '-S']);
  assert.deepEqual(source.sharedMemory.backends, [{ id: 'ram', path: file, isOnNetwork: false }]);
  const twin = [...machine('on', file), ...INCOMING];
  assert.deepEqual(told(compareMachines(source, await gathered('b', twin))), ['refuse RAM_SHARED']);
  const reached = await gathered('c', twin, true);
  assert.equal(reached.pid, null);
  assert.deepEqual(told(compareMachines(source, reached)), ['refuse RAM_SHARED']);
  const copy = await gathered('d', [...machine('off', file), ...INCOMING]);
  assert.deepEqual(told(compareMachines(source, copy)), []);
  // In a folder QEMU makes a file without a name.
  const nameless = await gathered('e', [...machine('on', folder), ...INCOMING]);
  assert.deepEqual(nameless.sharedMemory.backends, []);
  assert.deepEqual(told(compareMachines(source, nameless)), []);
});
