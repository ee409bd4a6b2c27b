/**
 * Recovery against modelled QEMUs: each story by hand, and every combination for the one
 * promise, one running VM.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import { FakeMachine, type FakeQemu, fakeQemu as model } from '../machines/fake.testing.ts';
import { foldJournal, type JournalEntry, type JournalState } from './entries.ts';
import { recover } from './recover.ts';

type Step = 'settings' | 'incoming' | 'stop' | 'post-copy' | 'prepared' | 'commit' | 'continue' | 'running';

function journalOf(
  steps: readonly Step[],
  changes: { paused?: boolean; quit?: boolean; guestEnded?: boolean; far?: boolean } = {},
): JournalState {
  const begin: JournalEntry = {
    step: 'begin',
    migrationId: 'm',
    startedAtMs: 0,
    ...{ controller: null, controllerNamespace: null, vm: null, onEnd: null },
    source: { qmpPath: '/a', identity: null, claim: 'm', reach: null },
    destination: {
      qmpPath: '/b',
      ...{ identity: null, claim: 'm' },
      reach: changes.far ? { command: ['ssh'], host: 'far', linkTimeoutMs: 1000 } : null,
    },
    sourceAfter: changes.quit ? 'quit' : 'keep',
    guestWasRunning: !changes.paused,
  };
  const lines = steps.map(
    (step): JournalEntry =>
      step === 'settings'
        ? { step, capabilities: { 'return-path': false }, parameters: { 'downtime-limit': 300 } }
        : step === 'incoming'
          ? { step, answer: 'asked' }
          : { step },
  );
  const ended: JournalEntry[] = changes.guestEnded
    ? [{ step: 'guest-ended', text: 'the guest shut down' }]
    : [];
  return foldJournal([begin, ...lines, ...ended], 'test');
}

const TO_STOP: readonly Step[] = ['settings', 'incoming', 'stop'];
const TO_PREPARED: readonly Step[] = [...TO_STOP, 'prepared'];
const TO_COMMIT: readonly Step[] = [...TO_PREPARED, 'commit'];

async function run(journal: JournalState, source: FakeQemu, destination: FakeQemu) {
  return recover(journal, {
    source: new FakeMachine(source),
    destination: new FakeMachine(destination),
    journal: null,
    wait: async () => undefined,
  });
}

test('a far host that cannot be reached keeps the source only where the destination may be whole', async () => {
  for (const [steps, far, runState] of [
    [TO_STOP, true, 'running'],
    [TO_PREPARED, true, 'paused'],
    [TO_STOP, false, 'running'],
  ] as const) {
    const source = model('paused', { migration: 'active' });
    const destination = model('inmigrate', { answers: false });
    const { outcome, text } = await run(journalOf(steps, { far }), source, destination);
    assert.deepEqual([source.runState, outcome], [runState, runState === 'running' ? 'aborted' : 'in-doubt']);
    if (runState === 'running') assert.match(text, /cannot be reached.*end it there/);
    assert.equal(destination.ran, false);
  }
});

test('before COMMIT the destination goes first, then the source runs with its settings back', async () => {
  const source = model('paused', { migration: 'active' });
  const destination = model('inmigrate');
  const { outcome } = await run(journalOf(TO_STOP), source, destination);
  assert.equal(outcome, 'aborted');
  assert.deepEqual([source.runState, destination.runState], ['running', null]);
  assert.deepEqual(
    source.commands.filter((name) => name !== 'query-migrate'),
    ['migrate_cancel', 'migrate-set-parameters', 'cont'],
  );
});

test('a destination that nobody prepared is not ended, whatever it does', async () => {
  for (const runState of ['inmigrate', 'paused', null] as const) {
    const source = model('running', { migration: 'none' });
    const destination = model(runState, { quits: false });
    const { outcome } = await run(journalOf(['settings']), source, destination);
    assert.deepEqual([outcome, source.runState, destination.runState], ['aborted', 'running', runState]);
    assert.deepEqual(destination.commands, []);
  }
  const begin = journalOf(['settings']).begin;
  const asked = { step: 'incoming', answer: 'asked' } as const;
  const settings = { step: 'destination-settings', capabilities: {}, parameters: {} } as const;
  const refused = foldJournal([begin, settings, asked, { step: 'incoming', answer: 'refused' }], 'test');
  const destination = model('inmigrate');
  await run(refused, model('running'), destination);
  assert.deepEqual([destination.runState, destination.commands], ['inmigrate', ['migrate-set-parameters']]);
  await run(foldJournal([begin, asked], 'test'), model('running'), destination);
  assert.equal(destination.runState, null);
  // One that this migration has started is its own, whatever it answered.
  for (const later of [[], [asked, { step: 'incoming', answer: 'refused' } as const]]) {
    const started = model('inmigrate');
    await run(foldJournal([begin, { step: 'started' }, ...later], 'test'), model('running'), started);
    assert.equal(started.runState, null);
  }
});

test('a destination that does not end keeps the source stopped, and the operator is told', async () => {
  const source = model('paused');
  const { outcome, text } = await run(journalOf(TO_PREPARED), source, model('paused', { quits: false }));
  assert.equal(outcome, 'in-doubt');
  assert.equal(source.runState, 'paused');
  assert.match(text, /--fenced destination/);
});

test('a source that died after PONG leaves the destination with the only copy, which goes on', async () => {
  const destination = model('paused');
  const { outcome } = await run(journalOf(TO_PREPARED), model(null), destination);
  assert.deepEqual([outcome, destination.runState], ['completed', 'running']);
});

test('post-copy: as far as QEMU had come decides', async () => {
  const asked: readonly Step[] = ['settings', 'post-copy'];
  const begun: readonly Step[] = [...asked, 'commit'];
  for (const [steps, migration, expected] of [
    [asked, 'failed', ['aborted', 'running', null]],
    [asked, 'active', ['aborted', 'running', null]],
    [asked, 'postcopy-paused', ['in-doubt', 'paused', 'inmigrate']],
    [begun, 'postcopy-paused', ['in-doubt', 'paused', 'inmigrate']],
    // RUN leaves only after the last moment at which QEMU could fail and run its source again.
    [begun, 'failed', ['aborted', 'running', null]],
  ] as const) {
    const source = model('paused', { migration });
    const destination = model('inmigrate');
    const { outcome } = await run(journalOf(steps), source, destination);
    assert.deepEqual([outcome, source.runState, destination.runState], expected, `${steps} ${migration}`);
  }
  const whole = model('running');
  const { outcome } = await run(journalOf(begun), model('postmigrate', { migration: 'completed' }), whole);
  assert.equal(outcome, 'completed');
  const two = await run(journalOf(begun), model('running', { migration: 'failed' }), model('running'));
  assert.equal(two.outcome, 'in-doubt');
  const half = await run(journalOf(begun), model('paused', { migration: 'postcopy-paused' }), model(null));
  assert.match(half.text, /boot the VM from its disk/);
  const gone = await run(journalOf(begun), model(null), model('running'));
  assert.match(gone.text, /at both ends/);
});

test('a source that died before PONG: a destination that may be whole is left, one that cannot be goes', async () => {
  for (const [steps, there, left, told] of [
    [['settings', 'incoming'], 'inmigrate', null, /no copy is left/],
    [TO_STOP, null, null, /no copy is left/],
    [TO_STOP, 'inmigrate', 'inmigrate', /may hold the only copy.*boot the VM from its disk/],
    [TO_STOP, 'paused', 'paused', /which may be an old one/],
    [[...TO_PREPARED, 'continue'], 'paused', 'paused', /which may be an old one/],
  ] as const) {
    const destination = model(there);
    const { outcome, text } = await run(journalOf(steps), model(null), destination);
    assert.deepEqual([outcome, destination.runState], ['in-doubt', left]);
    assert.match(text, told);
  }
});

test('after COMMIT a copy that may be an old one is not started', async () => {
  for (const [steps, here] of [
    [[...TO_COMMIT, 'continue'], 'postmigrate'],
    [TO_COMMIT, 'paused'],
  ] as const) {
    const destination = model('paused');
    const { outcome, text } = await run(journalOf(steps), model(here), destination);
    assert.deepEqual([outcome, destination.runState], ['in-doubt', 'paused']);
    assert.match(text, /may be an old one/);
  }
});

test('a guest that shut down with its QEMU is an end, not a doubt', async () => {
  const journal = journalOf(['settings'], { guestEnded: true });
  assert.equal((await run(journal, model(null), model('inmigrate'))).outcome, 'aborted');
  const kept = model('shutdown');
  assert.equal((await run(journal, kept, model('inmigrate'))).outcome, 'aborted');
  assert.ok(!kept.commands.includes('cont'));
});

test('after COMMIT a destination that waits is started', async () => {
  const source = model('postmigrate');
  const destination = model('paused');
  const { outcome } = await run(journalOf(TO_COMMIT, { quit: true }), source, destination);
  assert.deepEqual([outcome, destination.runState, source.runState], ['completed', 'running', null]);
});

test('after COMMIT a refusal proves nothing of what the controller had sent: neither is started', async () => {
  const source = model('postmigrate');
  const destination = model('paused', { onCont: 'refused' });
  const { outcome, text } = await run(journalOf(TO_COMMIT), source, destination);
  assert.deepEqual([outcome, source.runState, destination.runState], ['in-doubt', 'postmigrate', 'paused']);
  assert.match(text, /write" lock.*Do not continue the source/);
});

test('a cont that is accepted and changes nothing is taken back before the source goes on', async () => {
  const source = model('postmigrate');
  const destination = model('inmigrate', { onCont: 'ignored' });
  const { outcome } = await run(journalOf(TO_COMMIT), source, destination);
  assert.deepEqual([outcome, source.runState], ['aborted', 'running']);
  assert.deepEqual(destination.commands, ['stop', 'quit']);
});

test('a destination that is gone after COMMIT may have run: neither is started', async () => {
  const source = model('postmigrate');
  const { outcome, text } = await run(journalOf(TO_COMMIT), source, model(null));
  assert.deepEqual([outcome, source.runState], ['in-doubt', 'postmigrate']);
  assert.match(text, /do not continue the paused source/);
});

test('a paused guest stays paused on either side', async () => {
  const destination = model('paused');
  assert.equal(
    (await run(journalOf(TO_COMMIT, { paused: true }), model('postmigrate'), destination)).outcome,
    'completed',
  );
  assert.equal(destination.runState, 'paused');
  const source = model('paused');
  assert.equal(
    (await run(journalOf(TO_STOP, { paused: true }), source, model('inmigrate'))).outcome,
    'aborted',
  );
  assert.equal(source.runState, 'paused');
});

test('an ended journal is left alone', async () => {
  const ended = foldJournal(
    [{ ...journalOf([]).begin }, { step: 'end', outcome: 'completed', text: 'done' }],
    'test',
  );
  const source = model('postmigrate');
  assert.deepEqual(await run(ended, source, model('running')), { outcome: 'completed', text: 'done' });
  assert.deepEqual(source.commands, []);
});

const sourceState = fc.constantFrom(null, 'running', 'paused', 'finish-migrate', 'postmigrate', 'shutdown');
const destinationState = fc.constantFrom(null, 'inmigrate', 'paused', 'running', 'io-error');
const behaviour = fc.record({
  answers: fc.boolean(),
  onCont: fc.constantFrom('runs', 'refused', 'ignored'),
  quits: fc.boolean(),
  migration: fc.constantFrom('active', 'failed', 'completed', 'cancelled'),
} as const);
const journals = fc
  .record({
    length: fc.integer({ min: 0, max: 6 }),
    paused: fc.boolean(),
    quit: fc.boolean(),
    guestEnded: fc.boolean(),
  })
  .map(({ length, ...changes }) => journalOf([...TO_COMMIT, 'running' as const].slice(0, length), changes));

test('whatever is found, no second VM is started, and none after another may have run', async () => {
  const property = fc.asyncProperty(
    journals,
    sourceState,
    behaviour,
    destinationState,
    behaviour,
    async (journal, here, sourceBehaviour, there, destinationBehaviour) => {
      // What cannot be: a destination that runs before COMMIT together with a source that does.
      fc.pre(!(here === 'running' && (there === 'running' || journal.committed !== 'no')));
      // Nor one that nobody started, runs all the same, and does not say so.
      fc.pre(!(there === 'running' && journal.committed === 'no' && !destinationBehaviour.answers));
      const source = model(here, sourceBehaviour);
      const destination = model(there, destinationBehaviour);
      const mayHaveRun =
        journal.committed !== 'no' && (there === null || there === 'running' || there === 'io-error');
      const { outcome } = await run(journal, source, destination);
      const running = [source, destination].filter((qemu) => qemu.runState === 'running').length;
      assert.ok(running <= 1, 'two run');
      const started = source.commands.includes('cont');
      assert.ok(
        !(started && destination.runState !== null && journal.prepared),
        'the source was started beside a destination that has loaded',
      );
      assert.ok(
        !(started && (mayHaveRun || destination.ran)),
        'the source was started after the destination ran',
      );
      if (outcome === 'completed') assert.notEqual(destination.runState, null);
      // An end that does not answer and has not loaded the VM is left behind.
      const isLeft = !destinationBehaviour.answers && !journal.prepared;
      if (outcome === 'aborted' && !isLeft) {
        assert.equal(destination.runState, journal.destinationIsOurs ? null : there);
      }
      if (
        outcome !== 'in-doubt' &&
        journal.begin.guestWasRunning &&
        !journal.guestEnded &&
        here !== 'shutdown' &&
        // It has arrived; that its disk fails is for whoever owns it.
        there !== 'io-error' &&
        // What somebody else stopped stays stopped.
        (journal.stopSent || here === 'running' || outcome === 'completed')
      ) {
        assert.equal(running, 1, 'none runs and nobody is told');
      }
    },
  );
  await fc.assert(property, { numRuns: 3000 });
});
