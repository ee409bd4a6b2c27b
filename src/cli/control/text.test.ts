/** What `status` shows of a migration that another process describes. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { MigrationStatus } from '../../controller/index.ts';
import { statusLines } from './text.ts';

const ODD = '\u001b[2Jx\u0007';

test('no word of a migration moves the cursor', () => {
  const status: MigrationStatus = {
    migrationId: ODD,
    processId: 1,
    arrangement: 'single',
    strategy: ODD,
    source: ODD,
    destination: ODD,
    phase: 'iterating',
    elapsedMs: null,
    iteration: null,
    sentBytes: null,
    linkBytesPerSecond: null,
    dirtyBytesPerSecond: null,
    queuedBytes: null,
    heldBytes: null,
    downtimePredictedMs: null,
    downtimeMsMax: 300,
    bandwidthBytesPerSecondMax: null,
    why: ODD,
    rule: ODD,
  };
  const shown = statusLines(status, (_, text) => text).join('\n');
  assert.ok(!shown.includes('\u001b') && !shown.includes('\u0007'), JSON.stringify(shown));
});
