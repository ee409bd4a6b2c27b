/** Only what is old goes, and nothing of another kind. */

import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { cacheFolder, keepNewest } from './cache.ts';

test('the newest stay, and so does what has another name', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-cache-'));
  t.after(() => rmSync(folder, { recursive: true, force: true }));
  for (const [index, name] of ['b.state', 'c.state', 'a.state', 'other'].entries()) {
    writeFileSync(join(folder, name), '');
    utimesSync(join(folder, name), 1000 + index, 1000 + index);
  }
  keepNewest(folder, 2, (name) => name.endsWith('.state'));
  assert.deepEqual(readdirSync(folder).sort(), ['a.state', 'c.state', 'other']);
});

test("the cache's folder: as named, as XDG says, else below the home folder", () => {
  assert.equal(cacheFolder({ GODWIT_CACHE: '/c', XDG_CACHE_HOME: '/x' }), '/c');
  assert.equal(cacheFolder({ XDG_CACHE_HOME: '/x' }), '/x/godwit');
  assert.match(cacheFolder({}), /\/\.cache\/godwit$/);
});
