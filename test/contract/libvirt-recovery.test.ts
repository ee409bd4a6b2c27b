/**
 * The controller of a domain's move is killed at some step: what guardian and `godwit resolve` make of its
 * journal and of what libvirt has made of the lost client.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { finish, Journal, type JournalEntry } from '../../src/recovery/index.ts';
import { FAKE_VM, FakeLibvirtPair } from './libvirt-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-found-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

const PREPARED: readonly JournalEntry[] = [
  { step: 'incoming', answer: 'asked' },
  { step: 'stop' },
  { step: 'prepared' },
];
const COMMITTED: readonly JournalEntry[] = [...PREPARED, { step: 'commit' }];

interface Found {
  readonly lines: readonly JournalEntry[];
  /** How both ends are found. */
  readonly found: Partial<FakeLibvirtPair>;
  /** What libvirt does by itself, a moment later. */
  readonly later?: Partial<FakeLibvirtPair>;
  readonly change?: (pair: FakeLibvirtPair) => void;
  readonly fenced?: 'source' | 'destination';
}

async function recover({ lines, found, later, change, fenced }: Found) {
  const name = `found${count++}`;
  await using pair = await FakeLibvirtPair.open(folder, name);
  // libvirt has let go of the migration with its client.
  Object.assign(pair, { confirm: 'refused' }, found);
  change?.(pair);
  const domain = { name: FAKE_VM.name, uuid: FAKE_VM.uuid, persistent: true };
  const journalPath = path.join(folder, name, 'journal.jsonl');
  const journal = Journal.begin(journalPath, {
    step: 'begin',
    migrationId: name,
    startedAtMs: 1,
    controller: null,
    controllerNamespace: null,
    source: { libvirt: pair.daemons.source.uri, domain, reach: null },
    destination: { libvirt: pair.daemons.destination.uri, domain, reach: null },
    sourceAfter: 'quit',
    guestWasRunning: true,
    vm: FAKE_VM.uuid,
    onEnd: null,
  });
  for (const line of lines) journal.write(line);
  journal.close();
  const timer = later === undefined ? null : setTimeout(() => Object.assign(pair, later), 100);
  const outcome = await finish(journalPath, { by: 'resolve', fenced: fenced ?? null });
  if (timer !== null) clearTimeout(timer);
  assert.equal(pair.doubled, false, 'two copies ran');
  return { outcome, copies: [pair.source, pair.destination], said: pair.said };
}

describe('a domain whose controller is gone', () => {
  it('is left alone where nothing was prepared yet', async () => {
    const { outcome, copies, said } = await recover({ lines: [], found: {} });
    assert.equal(outcome.outcome, 'aborted');
    assert.match(outcome.text, /libvirt says: at the source running .*, at the destination it does not run/);
    assert.deepEqual(copies, ['running', null]);
    assert.deepEqual(said, []);
  });

  it('goes on at the source; libvirt ends what was prepared with its client', async () => {
    const { outcome, copies, said } = await recover({
      lines: PREPARED.slice(0, 1),
      found: { destination: 'paused', hasJob: true },
      later: { destination: null, hasJob: false },
    });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies, ['running', null]);
    assert.deepEqual(said, []);
  });

  it('is waited for while libvirt takes its own Perform back', async () => {
    const { outcome, copies, said } = await recover({
      lines: PREPARED.slice(0, 2),
      found: { source: 'paused', hasJob: true },
      later: { source: 'running', hasJob: false },
    });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies, ['running', null]);
    assert.deepEqual(said, []);
  });

  it('continues at the source where Perform had ended: once libvirt has let go of it, by name', async () => {
    for (const lines of [PREPARED.slice(0, 2), PREPARED]) {
      const { outcome, copies, said } = await recover({ lines, found: { source: 'paused' } });
      assert.equal(outcome.outcome, 'aborted');
      assert.deepEqual(copies, ['running', null]);
      assert.deepEqual(said, ['confirm cancelled', 'resume source']);
    }
  });

  it('continues by Confirm where libvirt still has it in the migration', async () => {
    const found = { source: 'paused', hasJob: true, confirm: 'works' } as const;
    const { outcome, copies, said } = await recover({ lines: PREPARED, found });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies, ['running', null]);
    assert.deepEqual(said, ['confirm cancelled']);
  });

  it('has its loaded copy cancelled where libvirt does not do that by itself, before the source goes on', async () => {
    const { outcome, copies, said } = await recover({
      lines: PREPARED,
      found: { source: 'paused', destination: 'paused' },
    });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies, ['running', null]);
    assert.deepEqual(said, ['finish cancelled', 'confirm cancelled', 'resume source']);
  });

  it('stays as it is where the destination cannot be asked and may have it loaded', async () => {
    const { outcome, copies, said } = await recover({
      lines: PREPARED,
      found: { source: 'paused', destination: 'paused' },
      change: (pair) => pair.daemons.destination.stopListening(),
    });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.match(outcome.text, /virsh domstate --reason vm1/);
    assert.deepEqual(copies, ['paused', 'paused']);
    assert.deepEqual(said, []);
  });

  it('goes on once the operator answers for that end', async () => {
    const { outcome, copies } = await recover({
      lines: PREPARED,
      found: { source: 'paused' },
      fenced: 'destination',
    });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies, ['running', null]);
  });

  it('has moved where it runs at the destination after COMMIT: the paused source is ended and undefined', async () => {
    const { outcome, copies, said } = await recover({
      lines: COMMITTED,
      found: { source: 'paused', destination: 'running' },
    });
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies, [null, 'running']);
    assert.deepEqual(said, ['confirm', 'destroy source', 'undefine source']);
  });

  it('is waited for while its Finish is carried out', async () => {
    const { outcome, copies } = await recover({
      lines: COMMITTED,
      found: { source: 'paused', destination: 'paused' },
      later: { destination: 'running' },
    });
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies, [null, 'running']);
  });

  it('has moved where somebody has suspended it over there since', async () => {
    const { outcome, copies } = await recover({
      lines: COMMITTED,
      found: { source: 'paused', destination: 'paused', pausedReason: 1 },
    });
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies, [null, 'paused']);
  });

  it('is in doubt where it is gone after COMMIT: it may have run', async () => {
    const { outcome, copies, said } = await recover({ lines: COMMITTED, found: { source: 'paused' } });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.match(outcome.text, /Boot the VM from its disk; do not continue the paused source/);
    assert.deepEqual(copies, ['paused', null]);
    assert.deepEqual(said, []);
  });

  it('is in doubt where somebody runs both: nothing is ended', async () => {
    const { outcome, said } = await recover({
      lines: COMMITTED,
      found: { source: 'running', destination: 'running' },
    });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.deepEqual(said, []);
  });
});
