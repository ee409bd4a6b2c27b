import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { after, describe, it } from 'node:test';
import { beginHandover, carryOut, type Outcome } from '../../src/handover/index.ts';
import { LibvirtMigration } from '../../src/libvirt/index.ts';
import { Daemon, libvirtEnds } from '../../src/machines/index.ts';
import { endActs, isRefusal } from '../../src/recovery/index.ts';
import { FAKE_VM, FakeLibvirtPair } from './libvirt-pair.ts';

const folder = mkdtempSync(path.join(tmpdir(), 'godwit-ends-'));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

interface Story {
  readonly change?: (pair: FakeLibvirtPair) => void;
  /** Runs right before COMMIT's act, the proof, or the release. */
  readonly at?: Partial<Record<'prove' | 'commit', (pair: FakeLibvirtPair) => void>>;
  readonly proofFails?: boolean;
}

/** The whole handover of a domain between two fake daemons. */
async function handOver(story: Story): Promise<{ pair: FakeLibvirtPair; outcome: Outcome }> {
  await using pair = await FakeLibvirtPair.open(folder, `pair${count++}`);
  story.change?.(pair);
  const daemonOf = (end: 'source' | 'destination') => new Daemon({ uri: pair.daemons[end].uri, reach: null });
  const [source, destination] = [daemonOf('source'), daemonOf('destination')];
  const clients = [await source.client(), await destination.client()] as const;
  const migration = new LibvirtMigration(...clients, { domain: FAKE_VM, flags: 0 });
  await migration.begin();
  await migration.prepare('unix:///in');
  let performed: Promise<void> | null = null;
  const machines = libvirtEnds({
    migration,
    ...{ uuid: FAKE_VM.uuid, persistent: true, source, destination },
    performed: () => performed,
    isFound: false,
    settleMs: 60,
  });
  const ends = endActs({
    ...machines,
    linkTimeoutMs: 0,
    journal: null,
    settings: () => null,
    leaveDestination: () => null,
    touched: () => null,
    silenceMs: () => 100,
    wait: async () => undefined,
  });
  const state = await carryOut(beginHandover({ guestWasRunning: true, sourceAfter: 'quit' }), {
    acts: {
      ...ends,
      record: async ({ step }) => {
        if (step === 'commit') story.at?.commit?.(pair);
      },
      hurry: async () => undefined,
      'stop-source': async () => undefined,
      drain: async () => undefined,
      prove: async () => {
        story.at?.prove?.(pair);
        if (story.proofFails) throw new Error('no proof');
      },
      'release-source': async () => {
        performed = migration.perform('unix:///out');
        await performed;
      },
    },
    isRefusal,
    guestEndOf: () => null,
    deadlineMsOf: () => null,
    wait: () => new Promise(() => undefined),
    lost: null,
  });
  await Promise.all([machines.source.close(), machines.destination.close()]);
  assert.equal(pair.doubled, false, 'two copies ran');
  return { pair, outcome: state.outcome };
}

const copies = ({ source, destination }: FakeLibvirtPair) => [source, destination];

describe('a handover between two libvirts', () => {
  it('commits by Finish and ends the source by Confirm', async () => {
    const { pair, outcome } = await handOver({});
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies(pair), [null, 'running']);
    assert.deepEqual(pair.said, ['finish', 'confirm']);
  });

  it('goes back to the source where libvirt refuses to start the domain and has ended it', async () => {
    const { pair, outcome } = await handOver({ change: (it) => (it.finish = 'refused') });
    assert.equal(outcome.outcome, 'aborted');
    assert.match(outcome.text, /never ran .*"write" lock/);
    assert.deepEqual(copies(pair), ['running', null]);
  });

  it('does not believe that a lost answer of Finish means failure: the destination is asked', async () => {
    const { pair, outcome } = await handOver({ change: (it) => (it.finish = 'lost') });
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies(pair), [null, 'running']);
    assert.deepEqual(pair.said, ['finish', 'confirm']);
  });

  it('is in doubt where Finish is lost and the domain still waits: nothing is started or ended', async () => {
    const { pair, outcome } = await handOver({ change: (it) => (it.finish = 'lost-before') });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.match(outcome.text, /Do not continue the source/);
    assert.deepEqual(copies(pair), ['paused', 'paused']);
    assert.deepEqual(pair.said, ['finish']);
  });

  it('is in doubt where the destination answers nothing any more after Finish', async () => {
    const { pair, outcome } = await handOver({
      change: (it) => (it.finish = 'lost'),
      at: { commit: (it) => it.daemons.destination.stopListening() },
    });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.deepEqual(copies(pair), ['paused', 'running']);
    assert.deepEqual(pair.said, ['finish']);
  });

  it('takes everything back before COMMIT: Finish cancelled, then the source goes on', async () => {
    const { pair, outcome } = await handOver({ proofFails: true });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies(pair), ['running', null]);
    assert.equal(pair.said[0], 'finish cancelled');
  });

  it('leaves the source stopped where libvirt does not end what was prepared', async () => {
    const { pair, outcome } = await handOver({
      change: (it) => (it.cancelledFinish = 'ignored'),
      // After Perform, so that the source is stopped.
      at: {
        commit: () => {
          throw new Error('no journal');
        },
      },
    });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.match(outcome.text, /destination QEMU does not end/);
    assert.deepEqual(copies(pair), ['paused', 'paused']);
  });

  it('ends the source by name where its connection is lost with Confirm', async () => {
    const { pair, outcome } = await handOver({ change: (it) => (it.confirm = 'lost-before') });
    assert.equal(outcome.outcome, 'completed');
    assert.deepEqual(copies(pair), [null, 'running']);
    assert.deepEqual(pair.said, ['finish', 'confirm', 'destroy source', 'undefine source']);
  });

  it('continues a source by name where libvirt has forgotten the migration with its client', async () => {
    const { pair, outcome } = await handOver({
      change: (it) => {
        it.confirm = 'refused';
        it.finish = 'refused';
      },
    });
    assert.equal(outcome.outcome, 'aborted');
    assert.deepEqual(copies(pair), ['running', null]);
    assert.deepEqual(pair.said, ['finish', 'confirm cancelled', 'resume source']);
  });

  it('touches nothing where somebody else has started the domain over there before COMMIT', async () => {
    const { pair, outcome } = await handOver({
      at: { prove: (it) => (it.destination = 'running') },
      change: (it) => (it.source = 'paused'),
    });
    assert.equal(outcome.outcome, 'in-doubt');
    assert.match(outcome.text, /the destination VM runs although godwit did not start it/);
    assert.deepEqual(copies(pair), ['paused', 'running']);
    assert.deepEqual(pair.said, []);
  });
});
