/** When a claim that is still in a QEMU holds nobody up any more. */

import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { isClaimOver } from './claims.ts';
import type { JournalEntry } from './entries.ts';
import { Journal } from './journal.ts';
import { forgottenPathOf, journalPathOf } from './journals.ts';

const END = { identity: null, claim: 'm', reach: null };
const BEGIN = {
  step: 'begin',
  migrationId: 'm',
  startedAtMs: 0,
  ...{ controller: null, controllerNamespace: null, vm: null, onEnd: null },
  source: { qmpPath: '/a', ...END },
  destination: { qmpPath: '/b', ...END },
  sourceAfter: 'keep',
  guestWasRunning: true,
} as const satisfies JournalEntry;

test('a claim is over once its own journal is closed, on this host', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-claims-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const path = journalPathOf(folder, 'm');
  const claim = { migrationId: 'm', holder: 'a test', journal: path };
  assert.equal(isClaimOver(claim), false, 'no journal: another host has it');
  const journal = Journal.begin(path, BEGIN);
  assert.equal(isClaimOver(claim), false, 'open');
  journal.write({ step: 'end', outcome: 'in-doubt', text: 'x' });
  assert.equal(isClaimOver(claim), false, 'in doubt');
  journal.write({ step: 'end', outcome: 'aborted', text: 'x' });
  assert.equal(isClaimOver(claim), true, 'ended');
  assert.equal(isClaimOver({ ...claim, migrationId: 'another' }), false, 'the journal of another');
  assert.equal(isClaimOver({ ...claim, journal: '' }), false, 'of no journal');
  renameSync(path, forgottenPathOf(path));
  assert.equal(isClaimOver(claim), true, 'could not be read, and was put aside');
  journal.close();
});
