import assert from 'node:assert/strict';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { findFarFault } from './far.ts';

const GODWIT = fileURLToPath(new URL('../../../bin/godwit.mjs', import.meta.url));
const never = new AbortController().signal;

function far(remoteCommand: readonly string[], dataAddress: string | null = null) {
  // A plain prefix instead of ssh: the far side is another process of this host.
  const reach = { command: [], host: null };
  const destinationQmpPath = join(import.meta.dirname, 'no.qmp');
  return {
    destinationQmpPath,
    far: { reach, remoteCommand, dataAddress, connections: 1, workers: 0, linkTimeoutMs: 5000 },
  };
}

test('a far host without godwit is told from one that has it', async () => {
  const missing = await findFarFault(far(['godwit-that-is-not-there']), null, never);
  assert.match(missing ?? '', /godwit-that-is-not-there.*not found.*must be installed/);
  assert.equal(await findFarFault(far([process.execPath, GODWIT]), null, never), null);
  assert.equal(await findFarFault({ ...far([]), far: null }, null, never), null, 'nothing to start');
});

test('what else keeps the far side from being used is told in its words', async () => {
  const other = [process.execPath, '-e', 'console.log("hello"); setTimeout(() => {}, 5000)'];
  assert.match((await findFarFault(far(other), null, never)) ?? '', /not a line of godwit receive: "hello"/);
  const asked = AbortSignal.abort(new Error('Ctrl-C'));
  await assert.rejects(findFarFault(far(['true']), null, asked), /Ctrl-C/);
});
