/**
 * What every machine must keep, whoever controls its VM: the handover trusts nothing else. A suite for
 * whichever rig can make one, a fake or a real QEMU. Not responsible for making one.
 */

import assert from 'node:assert/strict';
import { type TestContext, test } from 'node:test';
import { isRefusal } from '../qmp/index.ts';
import type { Machine } from './types.ts';

export type InitialState = 'running' | 'paused' | 'inmigrate';

/** One VM: its machine, and a way around it, so that nothing is believed because the machine says so. */
export interface MachineRig {
  readonly machine: Machine;
  /** Whose claim the machine takes away. */
  readonly migrationId: string;
  /** QEMU's run state, from outside; null: its process has ended. */
  runState(): Promise<string | null>;
  /** It answers nothing more until the returned function is called. */
  freeze(): () => void;
  kill(): Promise<void>;
  /**
   * The VM ends, and another one that runs takes its place under the same name. Returns that one's run state.
   */
  replace(): Promise<() => Promise<string | null>>;
  /** From now on it cannot be started: another process has its disk. */
  refuseStart(): Promise<void>;
  /** Begins an outgoing migration that never ends by itself. */
  migrateForever(): Promise<void>;
  downtimeLimitMs(): Promise<number>;
  setDowntimeLimitMs(ms: number): Promise<void>;
  /** Leaves a migration's mark. */
  claim(migrationId: string): Promise<void>;
  claimedBy(): Promise<string | null>;
}

export interface ContractOptions {
  /** Why it cannot run here; false: it can. */
  readonly skip: string | false;
  readonly makeRig: (t: TestContext, initial: InitialState) => Promise<MachineRig>;
}

/** Longer than any machine that answers needs. */
const PATIENT_MS = 60_000;
/** For one that will not answer, however long one waits. */
const SILENT_MS = 300;

export function testMachineContract(name: string, { skip, makeRig }: ContractOptions): void {
  const contract: Contract = (what, run) =>
    test(`${name}: ${what}`, { skip }, (t) => run((initial) => makeRig(t, initial)));
  testRunning(contract);
  testEnding(contract);
  testMigration(contract);
}

type MakeRig = (initial: InitialState) => Promise<MachineRig>;
type Contract = (what: string, run: (makeRig: MakeRig) => Promise<void>) => void;

async function stateOf({ machine }: MachineRig): Promise<string> {
  const status = await machine.status(PATIENT_MS);
  return status.state === 'answers' ? status.runState : status.state;
}

function testRunning(contract: Contract): void {
  contract('says what state its VM is in', async (makeRig) => {
    for (const initial of ['running', 'paused', 'inmigrate'] as const) {
      assert.match(await stateOf(await makeRig(initial)), STATES[initial]);
    }
  });

  contract('starts and stops its VM; once more changes nothing', async (makeRig) => {
    const rig = await makeRig('paused');
    for (let times = 0; times < 2; times++) {
      await rig.machine.start();
      assert.equal(await rig.runState(), 'running');
    }
    for (let times = 0; times < 2; times++) {
      await rig.machine.stop();
      assert.equal(await rig.runState(), 'paused');
    }
  });

  contract('one that waits for its VM goes on waiting, whatever it is told', async (makeRig) => {
    const rig = await makeRig('inmigrate');
    await rig.machine.start();
    await rig.machine.stop();
    assert.equal(await rig.runState(), 'inmigrate');
    assert.equal(await stateOf(rig), 'inmigrate');
  });

  contract('a refused start is told as a refusal, and the VM does not run', async (makeRig) => {
    const rig = await makeRig('paused');
    await rig.refuseStart();
    await assert.rejects(rig.machine.start(), isRefusal);
    assert.notEqual(await rig.runState(), 'running');
  });
}

function testEnding(contract: Contract): void {
  contract('end: gone when it says so, and again', async (makeRig) => {
    const rig = await makeRig('running');
    assert.equal(await rig.machine.end(PATIENT_MS), 'gone');
    assert.equal(await rig.runState(), null);
    assert.equal(await stateOf(rig), 'gone');
    assert.equal(await rig.machine.end(PATIENT_MS), 'gone');
    await assert.rejects(rig.machine.start());
    await assert.rejects(rig.machine.stop());
    await assert.rejects(rig.machine.migrationStatus());
  });

  contract('killed from outside: gone', async (makeRig) => {
    const rig = await makeRig('paused');
    assert.equal(await stateOf(rig), 'paused');
    await rig.kill();
    assert.equal(await stateOf(rig), 'gone');
    assert.equal(await rig.machine.end(PATIENT_MS), 'gone');
  });

  contract('one that hangs is silent and never gone, and answers later', async (makeRig) => {
    const rig = await makeRig('paused');
    const thaw = rig.freeze();
    const status = await rig.machine.status(SILENT_MS);
    thaw();
    assert.equal(status.state, 'silent');
    assert.equal(await stateOf(rig), 'paused');
    const thawAgain = rig.freeze();
    const ended = await rig.machine.end(SILENT_MS);
    // Only a QEMU whose process lives could have been thawed, and may end now that it hears of it.
    thawAgain();
    assert.equal(ended, 'silent');
  });

  contract('another VM in its place is not touched', async (makeRig) => {
    const rig = await makeRig('paused');
    const runStateThere = await rig.replace();
    const status = await rig.machine.status(SILENT_MS);
    assert.notEqual(status.state, 'answers');
    await assert.rejects(rig.machine.stop());
    await assert.rejects(rig.machine.cancelMigration());
    assert.notEqual(await rig.machine.end(SILENT_MS), 'stays');
    assert.equal(await runStateThere(), 'running');
  });
}

function testMigration(contract: Contract): void {
  contract('an outgoing migration: told, cancelled, and its VM stays as it was', async (makeRig) => {
    const rig = await makeRig('running');
    assert.equal(await rig.machine.migrationStatus(), 'none');
    await rig.machine.cancelMigration();
    await rig.migrateForever();
    assert.match(await rig.machine.migrationStatus(), /^(setup|active)$/);
    await rig.machine.cancelMigration();
    assert.equal(await rig.machine.migrationStatus(), 'cancelled');
    assert.equal(await rig.runState(), 'running');
  });

  contract('settings are put back', async (makeRig) => {
    const rig = await makeRig('paused');
    const before = await rig.downtimeLimitMs();
    await rig.setDowntimeLimitMs(before + 1);
    await rig.machine.restoreSettings({ capabilities: {}, parameters: { 'downtime-limit': before } });
    assert.equal(await rig.downtimeLimitMs(), before);
  });

  contract('its own mark is taken away, one of another migration stays', async (makeRig) => {
    const rig = await makeRig('paused');
    await rig.claim('another');
    // It may take the VM for another one altogether.
    await rig.machine.releaseClaim().catch(() => undefined);
    assert.equal(await rig.claimedBy(), 'another');
    const own = await makeRig('paused');
    await own.claim(own.migrationId);
    await own.machine.releaseClaim();
    await own.machine.releaseClaim();
    assert.equal(await own.claimedBy(), null);
  });

  contract('closing it leaves its VM alone, and may be done twice', async (makeRig) => {
    const rig = await makeRig('running');
    assert.equal(await stateOf(rig), 'running');
    await rig.machine.close();
    await rig.machine.close();
    assert.equal(await rig.runState(), 'running');
  });
}

const STATES: Readonly<Record<InitialState, RegExp>> = {
  running: /^running$/,
  // A QEMU that never ran says so.
  paused: /^(paused|prelaunch)$/,
  inmigrate: /^inmigrate$/,
};
