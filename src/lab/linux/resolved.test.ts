/** Asked once for each state of the lists; a damaged memory is no memory. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { remembered } from './resolved.ts';

test('apt is asked again when its lists have changed, or what is kept is damaged', async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-resolved-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  const path = join(folder, 'below', 'stress.json');
  let asked = 0;
  const answer = {
    kernel: { name: 'linux-image-1', file: 'linux-image-1_1_amd64.deb' },
    files: ['a_1_all.deb'],
  };
  const ask = (stamp: string | null) =>
    remembered(
      path,
      async () => {
        asked++;
        return answer;
      },
      stamp,
    );
  for (const stamp of ['one', 'one', 'two', 'two']) {
    const { kernel, files } = await ask(stamp);
    assert.deepEqual({ kernel, files }, answer);
  }
  assert.equal(asked, 2);
  writeFileSync(path, '{"stamp":"two"}');
  await ask('two');
  await ask(null);
  await ask('two');
  assert.equal(asked, 4);
});
