/**
 * The contract of a machine, kept by QMP to a real QEMU; a second monitor shows what the machine does not
 * say.
 */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import { sleep } from '../base/index.ts';
import { claimQemu, connectQmp, type QmpClient, qemuIdentity, queryStatus, readClaim } from '../qmp/index.ts';
import { type InitialState, type MachineRig, testMachineContract } from './contract.testing.ts';
import { QmpMachine } from './qmp-machine.ts';

const QEMU = process.env['GODWIT_QEMU'] ?? 'qemu-system-x86_64';
const MIGRATION = 'm';
const IMAGE_BYTES = 1024 * 1024;
/** A QEMU on a busy machine starts late. */
const START_TIMEOUT_MS = 60_000;
const POLL_MS = 20;

const missing = await isMissing();

async function isMissing(): Promise<string | false> {
  const child = spawn(QEMU, ['--version'], { stdio: 'ignore' });
  const [code] = await Promise.race([once(child, 'exit'), once(child, 'error').then(() => [1])]);
  return code === 0 ? false : `${QEMU} is not installed`;
}

class Stage {
  readonly folder = mkdtempSync(join(tmpdir(), 'godwit-machines-'));
  readonly image = join(this.folder, 'disk.raw');
  readonly path = join(this.folder, 'qmp.sock');
  readonly #children: ChildProcess[] = [];
  readonly #clients: QmpClient[] = [];

  constructor() {
    writeFileSync(this.image, '');
    truncateSync(this.image, IMAGE_BYTES);
  }

  start(argv: readonly string[]): ChildProcess {
    const child = spawn(argv[0]!, argv.slice(1), { stdio: ['pipe', 'pipe', 'ignore'] });
    this.#children.push(child);
    return child;
  }

  /** A QEMU whose monitor for the machine is at `path`. Returns it, and a monitor of our own. */
  async boot(name: string, args: readonly string[]): Promise<{ child: ChildProcess; qmp: QmpClient }> {
    const own = join(this.folder, `${name}.sock`);
    const child = this.start([
      ...[QEMU, '-accel', 'tcg', '-display', 'none', '-nodefaults', '-m', '16M', ...args],
      ...['-qmp', `unix:${this.path},server=on,wait=off`, '-qmp', `unix:${own},server=on,wait=off`],
    ]);
    for (let waitedMs = 0; !existsSync(own); waitedMs += POLL_MS) {
      if (child.exitCode !== null || waitedMs > START_TIMEOUT_MS) throw new Error(`${QEMU} does not start`);
      await sleep(POLL_MS);
    }
    const qmp = await connectQmp({ path: own, timeoutMs: START_TIMEOUT_MS });
    this.#clients.push(qmp);
    return { child, qmp };
  }

  async close(): Promise<void> {
    await Promise.all(this.#clients.map((client) => client.close()));
    await Promise.all(this.#children.map(end));
    rmSync(this.folder, { recursive: true });
  }
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, 'exit');
  child.kill('SIGKILL');
  await exited;
}

const ARGUMENTS: Readonly<Record<InitialState, readonly string[]>> = {
  running: [],
  // `-S` would be "prelaunch": a VM that has never run.
  paused: [],
  inmigrate: ['-incoming', 'defer'],
};

async function makeRig(t: TestContext, initial: InitialState): Promise<MachineRig> {
  const stage = new Stage();
  t.after(() => stage.close());
  const disk = ['-drive', `file=${stage.image},format=raw,if=none,id=disk`];
  const { child, qmp } = await stage.boot('outside', [
    ...ARGUMENTS[initial],
    ...disk,
    ...['-device', 'virtio-blk-pci,drive=disk'],
  ]);
  if (initial === 'paused') await qmp.execute('stop');
  const identity = await qemuIdentity(qmp);
  const machine = new QmpMachine({ qmpPath: stage.path, identity, claim: MIGRATION, reach: null });
  t.after(() => machine.close());
  return {
    machine,
    migrationId: MIGRATION,
    runState: () => runStateOf(child, qmp),
    freeze() {
      child.kill('SIGSTOP');
      return () => child.kill('SIGCONT');
    },
    kill: () => end(child),
    async replace() {
      await end(child);
      const other = await stage.boot('replacement', []);
      return () => runStateOf(other.child, other.qmp);
    },
    refuseStart: () => takeDiskAway(stage, qmp),
    async migrateForever() {
      const path = join(stage.folder, 'nobody-reads.sock');
      const server = createServer((socket) => socket.pause().on('error', () => undefined));
      t.after(() => server.close());
      await new Promise<void>((resolve) => server.listen(path, resolve));
      await qmp.execute('migrate-set-parameters', { 'max-bandwidth': 4096 });
      await qmp.execute('migrate', { uri: `unix:${path}` });
    },
    downtimeLimitMs: async () => {
      const parameters = (await qmp.execute('query-migrate-parameters')) as { 'downtime-limit': number };
      return parameters['downtime-limit'];
    },
    setDowntimeLimitMs: async (ms) =>
      void (await qmp.execute('migrate-set-parameters', { 'downtime-limit': ms })),
    claim: (migrationId) => claimQemu(qmp, { migrationId, holder: 'a test', journal: '/nowhere' }),
    claimedBy: async () => (await readClaim(qmp))?.migrationId ?? null,
  };
}

async function runStateOf(child: ChildProcess, qmp: QmpClient): Promise<string | null> {
  if (child.exitCode !== null || child.signalCode !== null) return null;
  try {
    return (await queryStatus(qmp)).status;
  } catch {
    // It is on its way out.
    await Promise.race([once(child, 'exit'), sleep(START_TIMEOUT_MS)]);
    return null;
  }
}

/**
 * As at the end of a migration: QEMU lets go of its disk, and somebody else has it before it may come
 * back.
 */
async function takeDiskAway(stage: Stage, qmp: QmpClient): Promise<void> {
  await qmp.execute('migrate', { uri: 'exec:cat >/dev/null' });
  for (;;) {
    const { status } = (await qmp.execute('query-migrate')) as { status: string };
    if (status === 'completed') break;
    if (status === 'failed') throw new Error('the migration that lets go of the disk failed');
    await sleep(POLL_MS);
  }
  // Its prompt comes once it has the file open, and it stays until its input ends.
  const holder = stage.start(['qemu-io', '-f', 'raw', stage.image]);
  await once(holder.stdout!, 'data');
}

testMachineContract('qemu', { skip: missing, makeRig });
