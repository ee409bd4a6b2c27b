/**
 * The guest on real QEMUs: each workload, its checks, deliberate damage, the disk log, a dump, and a plain
 * move.
 */
import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test, { type TestContext } from 'node:test';
import { MIB, sleep } from '../../base/index.ts';
import { qemuMissing } from '../machine/qemu.testing.ts';
import { findQemu } from '../machine/vm.ts';
import {
  checkDiskLog,
  checkGuestMemory,
  GUEST_BINARY_PATH,
  GUEST_DEFAULTS,
  GUEST_WORKLOADS,
  type GuestHeartbeat,
  type GuestLine,
  GuestLineParser,
  type GuestOptions,
  type GuestReady,
  type GuestVerification,
  guestCommandLine,
  isSound,
} from './index.ts';

const skip = qemuMissing();
const QEMU = skip === false ? findQemu() : '';
const TIMEOUT_MS = 60_000;

type LineOf<K extends GuestLine['kind']> = Extract<GuestLine, { kind: K }>;

class Vm {
  readonly lines: GuestLine[] = [];
  readonly process: ChildProcess;
  readonly #qmpPath: string;
  /** Everything it said: a line may begin on one VM and end on the one it moved to. */
  text = '';
  #errors = '';

  constructor(folder: string, name: string, extra: readonly string[]) {
    this.#qmpPath = join(folder, `${name}.qmp`);
    const parser = new GuestLineParser();
    const fixed = ['-accel', 'tcg', '-smp', '1', '-nodefaults', '-display', 'none', '-serial', 'stdio'];
    const monitor = ['-qmp', `unix:${this.#qmpPath},server=on,wait=off`, '-kernel', GUEST_BINARY_PATH];
    this.process = spawn(QEMU, [...fixed, ...monitor, ...extra]);
    this.process.stdout!.on('data', (chunk: Buffer) => {
      this.text += chunk.toString('latin1');
      this.lines.push(...parser.push(chunk));
    });
    this.process.stderr!.on('data', (chunk: Buffer) => (this.#errors += chunk.toString()));
  }

  send(command: string): void {
    this.process.stdin!.write(`${command}\n`);
  }

  /** The first line of a kind at or after index `from`. */
  async next<K extends GuestLine['kind']>(kind: K, from = 0, accept = (_: LineOf<K>) => true) {
    for (const deadline = Date.now() + TIMEOUT_MS; Date.now() < deadline; await sleep(5)) {
      for (let at = from; at < this.lines.length; at++) {
        const line = this.lines[at]!;
        if (line.kind === kind && accept(line as LineOf<K>)) return line as LineOf<K>;
      }
      if (this.process.exitCode !== null) break;
    }
    throw new Error(`no ${kind} line; last ${JSON.stringify(this.lines.at(-1))}; QEMU: ${this.#errors}`);
  }

  ask(command: string): Promise<LineOf<'state'>> {
    const from = this.lines.length;
    this.send(command);
    return this.next('state', from);
  }

  verify(): Promise<GuestVerification> {
    const from = this.lines.length;
    this.send('verify');
    return this.next('verification', from);
  }

  heartbeats(): GuestHeartbeat[] {
    return this.lines.filter((line) => line.kind === 'heartbeat');
  }

  /** One QMP command on a connection of its own. */
  async qmp(execute: string, args: object = {}): Promise<unknown> {
    const socket: Socket = connect(this.#qmpPath);
    try {
      return await new Promise((resolve, reject) => {
        let text = '';
        socket.on('error', reject);
        socket.on('data', (chunk) => {
          text += chunk.toString();
          for (let end = text.indexOf('\n'); end >= 0; end = text.indexOf('\n')) {
            const answer = JSON.parse(text.slice(0, end));
            text = text.slice(end + 1);
            if (answer.QMP) socket.write('{"execute":"qmp_capabilities"}\n');
            else if (answer.error) reject(new Error(JSON.stringify(answer.error)));
            else if (answer.id === 1) resolve(answer.return);
            else if ('return' in answer) {
              socket.write(`${JSON.stringify({ execute, arguments: args, id: 1 })}\n`);
            }
          }
        });
      });
    } finally {
      socket.destroy();
    }
  }

  /** QEMU answers QMP only when it has set everything up: an `-incoming` socket listens by then. */
  async answering(): Promise<void> {
    for (const deadline = Date.now() + TIMEOUT_MS; ; await sleep(10)) {
      try {
        return void (await this.qmp('query-status'));
      } catch (error) {
        assert.ok(Date.now() < deadline && this.process.exitCode === null, `${error} ${this.#errors}`);
      }
    }
  }

  /** Errors: with QEMU's own words, where the move failed or does not complete. */
  async moved(): Promise<void> {
    for (const deadline = Date.now() + TIMEOUT_MS; ; await sleep(10)) {
      const { status } = (await this.qmp('query-status')) as { status: string };
      if (status === 'postmigrate') return;
      const migration = (await this.qmp('query-migrate')) as { status?: string };
      const text = `QEMU is ${status}, its migration ${JSON.stringify(migration)}`;
      assert.notEqual(migration.status, 'failed', text);
      assert.ok(Date.now() < deadline, `the move did not complete: ${text}`);
    }
  }

  async kill(): Promise<void> {
    if (this.process.exitCode !== null || this.process.signalCode !== null) return;
    const gone = new Promise((resolve) => this.process.once('exit', resolve));
    this.process.kill('SIGKILL');
    await gone;
  }
}

interface Machine {
  readonly machine?: string;
  readonly memory?: string;
  readonly extra?: readonly string[];
}

/** A folder and VMs that end with the test. */
function room(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-guest-'));
  const vms: Vm[] = [];
  t.after(async () => {
    await Promise.all(vms.map((vm) => vm.kill()));
    rmSync(folder, { recursive: true });
  });
  const boot = (options: Partial<GuestOptions> | null, how: Machine = {}, name = 'vm') => {
    const { machine = 'pc', memory = '64M', extra = [] } = how;
    const append = options === null ? [] : ['-append', guestCommandLine(options)];
    const vm = new Vm(folder, name, ['-machine', machine, '-m', memory, ...append, ...extra]);
    vms.push(vm);
    return vm;
  };
  return { folder, boot };
}

function assertSteady(heartbeats: readonly GuestHeartbeat[]): void {
  heartbeats.forEach((heartbeat, at) => void assert.equal(heartbeat.counter, heartbeats[0]!.counter + at));
}

for (const workload of GUEST_WORKLOADS) {
  test(`${workload}: beats steadily, dirties at full speed, verifies`, { skip }, async (t) => {
    const vm = room(t).boot({ workload, hotBytes: 32 * MIB, seed: 11 });
    const ready = await vm.next('ready');
    assert.deepEqual([ready.workload, ready.hotPages, ready.seed], [workload, 8192, 11]);
    const last = await vm.next('heartbeat', 0, (beat) => beat.guestMs > ready.fillMs + 1000);
    const dirtyRate = (last.pagesWritten! * 4096) / ((last.guestMs - ready.fillMs) / 1000);
    t.diagnostic(`${workload} unthrottled: ${(dirtyRate / 1e6).toFixed(0)} MB/s of dirtied pages`);
    assert.equal(last.pagesWritten! > 1000, workload !== 'idle');
    const verification = await vm.verify();
    assert.ok(isSound(verification), JSON.stringify(verification));
    assert.equal(verification.pages, ready.pageCount);
    assert.equal((await vm.ask('resume')).state, 'running');
    await vm.next('heartbeat', vm.lines.length);
    assertSteady(vm.heartbeats());
    assert.ok(!vm.lines.some((line) => line.kind === 'noise' || line.kind === 'error'));
  });
}

test('damage is reported: a changed bit, an older page, a stale row', { skip }, async (t) => {
  const vm = room(t).boot({ workload: 'sweep', hotBytes: MIB, body: 'text' });
  await vm.next('heartbeat', 0, (beat) => beat.pagesWritten! > 600);
  assert.equal((await vm.ask('stop')).state, 'stopped');
  const sound = await vm.verify();
  assert.ok(isSound(sound));
  assert.equal((await vm.ask('poke 5')).state, 'poke');
  assert.equal((await vm.ask('stale 9')).state, 'stale');
  const two = await vm.verify();
  assert.deepEqual([two.badPages, two.firstBadPage, two.badRows, two.countersAddUp], [2, 5, 0, true]);
  assert.notEqual(two.checksum, sound.checksum);
  await vm.ask('stalerow 3');
  const three = await vm.verify();
  assert.deepEqual(
    [three.badPages, three.firstBadPage, three.badRows, three.countersAddUp],
    [3, 3, 1, false],
  );
  vm.send('poke 99999999');
  await vm.next('error');
});

test('a rate is kept, and quiet phases are quiet', { skip }, async (t) => {
  const { boot } = room(t);
  const vm = boot({ workload: 'phased', rateBytesPerSecond: 20 * MIB, busyMs: 500, quietMs: 500 });
  const { fillMs } = await vm.next('ready');
  await vm.next('heartbeat', 0, (beat) => beat.guestMs > fillMs + 2100);
  const beats = vm.heartbeats();
  const written = beats.map((beat, at) => beat.pagesWritten! - (beats[at - 1]?.pagesWritten ?? 0));
  const quiet = beats.filter((beat) => beat.guestMs % 1000 > 520 && beat.guestMs % 1000 < 990);
  assert.ok(quiet.every((beat) => written[beats.indexOf(beat)] === 0));
  const busyMs = beats.filter((beat) => beat.guestMs % 1000 < 500).length * 10;
  const rate = (beats.at(-1)!.pagesWritten! * 4096) / (busyMs / 1000);
  t.diagnostic(`asked for ${20 * MIB} B/s, got ${rate.toFixed(0)}`);
  assert.ok(rate > 10 * MIB && rate < 21.5 * MIB, `${rate}`);
});

test('the defaults of the program are those of GUEST_DEFAULTS; unknown arguments stop it', {
  skip,
}, async (t) => {
  const { boot } = room(t);
  const own = boot(null, {}, 'own');
  const told = boot(GUEST_DEFAULTS, {}, 'told');
  const plain = ({ fillMs: _, ...rest }: GuestReady) => rest;
  assert.deepEqual(plain(await own.next('ready')), plain(await told.next('ready')));
  const wrong = boot(null, { extra: ['-append', 'workload=idle speed=9'] }, 'wrong');
  assert.equal((await wrong.next('error')).text, 'argument speed=9');
});

test('a dump of the paused guest satisfies the twin, which finds the same damage', { skip }, async (t) => {
  const { folder, boot } = room(t);
  const vm = boot({ workload: 'mixed', hotBytes: 16 * MIB, fillBytes: 40 * MIB });
  await vm.next('heartbeat', 0, (beat) => beat.counter > 50);
  const dump = async (name: string) => {
    await vm.qmp('stop');
    await vm.qmp('pmemsave', { val: 0, size: 64 * MIB, filename: join(folder, name) });
    const bytes = readFileSync(join(folder, name));
    await vm.qmp('cont');
    return checkGuestMemory((at, length) => bytes.subarray(at, at + length));
  };
  const running = await dump('running');
  assert.deepEqual([running.badPages, running.badRows, running.countersAddUp], [0, 0, true]);
  const own = await vm.verify();
  assert.equal((await dump('quiet')).checksum, own.checksum);
  await vm.ask('stale 6');
  const damaged = await dump('damaged');
  assert.deepEqual([damaged.badPages, damaged.firstBadPage], [1, 6]);
});

for (const machine of ['pc', 'q35']) {
  test(`${machine}: the disk log has no gap, and a second writer is noticed`, { skip }, async (t) => {
    const { folder, boot } = room(t);
    const image = join(folder, 'disk.raw');
    writeFileSync(image, Buffer.alloc(4 * MIB));
    const extra = ['-object', 'iothread,id=io', '-drive', `if=none,id=d,format=raw,file=${image}`];
    extra.push('-device', `virtio-blk-pci,drive=d${machine === 'q35' ? ',iothread=io' : ''}`);
    const disk = { disk: true, diskRecordsPerSecond: 200, diskLogBytes: 32 * 1024, seed: 6 };
    const vm = boot({ workload: 'uniform', rateBytesPerSecond: MIB, ...disk }, { machine, extra });
    const beat = await vm.next('heartbeat', 0, (line) => (line.diskSequence ?? 0) > 150);
    assert.ok(!vm.lines.some((line) => line.kind === 'error'));
    await vm.kill();
    const completedSequence = vm.heartbeats().at(-1)!.diskSequence;
    const check = checkDiskLog(readFileSync(image), { ...disk, completedSequence });
    assert.ok(check.sound && check.lastSequence! >= beat.diskSequence!, JSON.stringify(check));
    const second = boot({ ...disk }, { machine, extra }, 'second');
    assert.match((await second.next('error')).text, /^disk foreign record/);
  });
}

test('6 GiB: pages above 4 GiB are written and verified', { skip }, async (t) => {
  const above = { fillAtBytes: 5120 * MIB, fillBytes: 64 * MIB };
  const vm = room(t).boot({ workload: 'stress', ...above }, { memory: '6G' });
  const booting = performance.now();
  const ready = await vm.next('ready');
  t.diagnostic(`ready ${(performance.now() - booting).toFixed(0)} ms after start`);
  assert.ok(ready.pageCount > 1_560_000 && ready.fillAtPage === 5 * 2 ** 18, JSON.stringify(ready));
  await vm.next('heartbeat', 0, (beat) => beat.pagesWritten! > 10_000);
  assert.ok(isSound(await vm.verify()));
});

for (const options of [
  { workload: 'idle' },
  { workload: 'uniform', rateBytesPerSecond: 8 * MIB, hotBytes: 16 * MIB },
] as const) {
  test(`${options.workload}: after a plain move every page is good and no heartbeat is lost`, {
    skip,
  }, async (t) => {
    const { folder, boot } = room(t);
    const source = boot(options, {}, 'source');
    await source.next('heartbeat', 0, (beat) => beat.counter > 20);
    const uri = `unix:${join(folder, 'stream')}`;
    const destination = boot(options, { extra: ['-incoming', uri] }, 'destination');
    await destination.answering();
    await source.qmp('migrate-set-parameters', { 'max-bandwidth': 64 * MIB });
    await source.qmp('migrate', { uri });
    await source.moved();
    await destination.next('heartbeat', 1);
    await sleep(300);
    assert.ok(isSound(await destination.verify()));
    assert.equal((await destination.ask('resume')).state, 'running');
    const beats = new GuestLineParser()
      .push(source.text + destination.text)
      .filter((line) => line.kind === 'heartbeat');
    t.diagnostic(`${source.heartbeats().length} of ${beats.length} heartbeats came whole from the source`);
    assertSteady(beats);
    assert.ok(destination.heartbeats().at(-1)!.counter > source.heartbeats().at(-1)!.counter + 20);
  });
}

for (const workload of ['stress', 'uniform', 'zipf', 'mixed'] as const) {
  test(`${workload}, unthrottled: stopped at any instruction and moved, with its disk`, {
    skip,
  }, async (t) => {
    const { folder, boot } = room(t);
    const image = join(folder, 'disk.raw');
    writeFileSync(image, Buffer.alloc(4 * MIB));
    const drive = ['-drive', `if=none,id=d,format=raw,file=${image}`, '-device', 'virtio-blk-pci,drive=d'];
    const options = { workload, hotBytes: 32 * MIB, disk: true, diskRecordsPerSecond: 500, seed: 2 };
    const source = boot(options, { extra: drive }, 'source');
    await source.next('heartbeat', 0, (beat) => beat.counter > 30);
    const uri = `unix:${join(folder, 'stream')}`;
    const destination = boot(options, { extra: [...drive, '-incoming', uri] }, 'destination');
    await destination.answering();
    await source.qmp('migrate-set-parameters', { 'max-bandwidth': 200 * MIB, 'downtime-limit': 1 });
    await source.qmp('migrate', { uri });
    await sleep(150);
    await source.qmp('stop');
    const status = async (vm: Vm) => ((await vm.qmp('query-status')) as { status: string }).status;
    await source.moved();
    while ((await status(destination)) === 'inmigrate') await sleep(5);
    await destination.qmp('cont');
    const verification = await destination.verify();
    assert.ok(isSound(verification), JSON.stringify(verification));
    await destination.ask('resume');
    const moved = source.heartbeats().at(-1)!;
    await destination.next('heartbeat', 0, (beat) => (beat.diskSequence ?? 0) > moved.diskSequence! + 50);
    await destination.kill();
    const beats = new GuestLineParser()
      .push(source.text + destination.text)
      .filter((line) => line.kind === 'heartbeat');
    assertSteady(beats);
    assert.ok(![...source.lines, ...destination.lines].some((line) => line.kind === 'error'));
    const completedSequence = beats.at(-1)!.diskSequence;
    const log = checkDiskLog(readFileSync(image), { ...options, completedSequence });
    assert.ok(log.sound, JSON.stringify(log));
  });
}
