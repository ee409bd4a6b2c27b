/**
 * Two hosts with a libvirt each and a domain of the bare guest, for tests and for `npm run libvirt`: what was
 * started is ended with the scene. Not responsible for what is asked of them.
 */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep, systemClock } from '../../src/base/index.ts';
import { SingleOutput, SourceGateway } from '../../src/gateway/index.ts';
import {
  GUEST_BINARY_PATH,
  GUEST_DEFAULTS,
  type GuestOptions,
  guestCommandLine,
  isSound,
  parseGuestLine,
  runCommand,
} from '../../src/lab/index.ts';
import { openSerialPort, type SerialPort } from '../../src/lab/machine/serial.ts';
import {
  type DomainRef,
  domainCreateXml,
  domainGetJobInfo,
  iterationEvent,
  JOB_TYPES,
  type LibvirtClient,
  LibvirtMigration,
  lookAtDomain,
  subscribe,
} from '../../src/libvirt/index.ts';
import { listJournals } from '../../src/recovery/index.ts';
import type { ChildOptions } from './libvirt-child.ts';
import { domainXml, type LibvirtHost, startLibvirtHost } from './libvirt-rig.ts';

export const MEMORY_MIB = 64;
/** A daemon that hangs is to be told, not waited for. */
const SOON = { timeoutMs: 20_000 };

/** What ends it: a test's context, or a run's own list. */
export interface Ending {
  after(run: () => Promise<void> | void): void;
}

export interface Rig {
  readonly folder: string;
  readonly hosts: readonly [LibvirtHost, LibvirtHost];
  readonly clients: readonly [LibvirtClient, LibvirtClient];
  readonly serials: readonly [SerialPort, SerialPort];
  readonly xml: string;
  readonly uuid: string;
  readonly guest: GuestOptions;
  /** The shared image; null where there is none. */
  readonly image: string | null;
}

export async function openRig(
  t: Ending,
  guest: Partial<GuestOptions> = {},
  disk: 'none' | 'shared' = 'none',
): Promise<Rig> {
  const folder = mkdtempSync(path.join(tmpdir(), 'gw-lv-'));
  const hosts: LibvirtHost[] = [];
  const serials: SerialPort[] = [];
  const clients: LibvirtClient[] = [];
  t.after(async () => {
    for (const client of clients) await client.close();
    for (const host of hosts) await host.close();
    for (const serial of serials) await serial.close();
    rmSync(folder, { recursive: true, force: true });
  });
  for (const name of ['a', 'b']) {
    mkdirSync(path.join(folder, name));
    const host = await startLibvirtHost(path.join(folder, name));
    hosts.push(host);
    const serial = await openSerialPort(path.join(host.runFolder, 'serial.sock'));
    serials.push(serial);
    clients.push(await host.connect());
  }
  const image = disk === 'none' ? null : path.join(folder, 'disk.qcow2');
  if (image !== null) await runCommand(['qemu-img', 'create', '-q', '-f', 'qcow2', image, '64M']);
  const options = { ...GUEST_DEFAULTS, ...guest, disk: image !== null };
  const uuid = randomUUID();
  const xml = domainXml({
    name: 'guest',
    uuid,
    memoryMib: MEMORY_MIB,
    kernel: GUEST_BINARY_PATH,
    commandLine: guestCommandLine(options),
    image,
  });
  return {
    folder,
    hosts: [hosts[0]!, hosts[1]!],
    clients: [clients[0]!, clients[1]!],
    serials: [serials[0]!, serials[1]!],
    ...{ xml, uuid, image },
    guest: options,
  };
}

export async function startGuest({ clients, serials, xml }: Rig): Promise<DomainRef> {
  const { domain } = await clients[0].call(domainCreateXml, { xml, flags: 0 });
  await serials[0].waitFor((text) => text.includes('H '), { timeoutMs: 20_000, what: 'heartbeats' });
  return domain;
}

export const stateOf = async (client: LibvirtClient, uuid: string) =>
  (await lookAtDomain(client, uuid))?.state ?? null;

/**
 * Both halves of the move up to the moment before Finish: the source stopped, the destination loaded and not
 * started.
 */
export async function moveUpToFinish(
  t: Ending,
  rig: Rig,
  domain: DomainRef,
  flags: number,
): Promise<LibvirtMigration> {
  const migration = new LibvirtMigration(rig.clients[0], rig.clients[1], { domain, flags });
  await migration.begin(SOON);
  const incoming = path.join(rig.folder, 'incoming.sock');
  const outgoing = path.join(rig.folder, 'outgoing.sock');
  await migration.prepare(`unix://${incoming}`, SOON);
  assert.equal((await stateOf(rig.clients[1], rig.uuid))?.state, 'paused');

  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  const layout = Promise.withResolvers<void>();
  const output = new SingleOutput(
    { address: `unix:${incoming}`, clock: systemClock, prepareTimeoutMs: 30_000, keepsReferences: true },
    {
      onRoom: () => gateway.pump(),
      onReturnPath: (message, raw) => gateway.onReturnPath(message, raw),
      onError: failed.reject,
    },
  );
  const gateway: SourceGateway = new SourceGateway(
    output,
    {
      listenPath: outgoing,
      admitQemu: () => undefined,
      capabilities: new Set(['return-path', 'switchover-ack', 'pause-before-switchover', 'events']),
      clock: systemClock,
      memoryBytesMax: 256 * 1024 * 1024,
      absorb: true,
      deltas: false,
      record: null,
      ackGate: true,
      bandwidthBytesPerSecondMax: null,
    },
    { onLayout: () => layout.resolve(), onError: failed.reject },
  );
  t.after(() => gateway.close());
  await output.connect(AbortSignal.timeout(10_000));
  await gateway.listen();
  const iterations = await subscribe(rig.clients[0], iterationEvent, domain, ({ iteration }) =>
    gateway.notePass(iteration),
  );
  const performed = migration.perform(`unix://${outgoing}`);
  performed.catch(failed.reject);
  const race = <T>(step: Promise<T>) => Promise.race([step, failed.promise]);
  await race(layout.promise);
  const job = await rig.clients[0].call(domainGetJobInfo, { domain });
  assert.equal(JOB_TYPES[job.type], 'unbounded');
  const deadlineMs = systemClock.nowMs() + 30_000;
  // Its second sync ends QEMU's first pass; libvirt may tell of later ones late.
  while (gateway.passes < 2) {
    assert.ok(systemClock.nowMs() < deadlineMs, `libvirt told of ${gateway.passes} passes`);
    await race(sleep(20));
  }
  gateway.hurryPasses(true);
  gateway.enterStopAndCopy();
  await race(gateway.drained());
  await race(gateway.complete());
  assert.equal((await stateOf(rig.clients[0], rig.uuid))?.state, 'paused');
  assert.equal((await stateOf(rig.clients[1], rig.uuid))?.state, 'paused');
  gateway.releaseSource();
  await race(performed);
  await iterations.end();
  return migration;
}

/** The guest's heartbeats. A line may begin at the source and end at the destination. */
export function beats({ serials: [a, b] }: Rig): number[] {
  const texts = [...a.lines, ...b.lines].map(({ text }) => text);
  if (b.lines.length > 0) texts[a.lines.length] = a.partial() + texts[a.lines.length]!;
  return texts.map(parseGuestLine).flatMap((line) => (line?.kind === 'heartbeat' ? [line.counter] : []));
}

/** Each counter once and none missing: the guest never ran twice and lost nothing. */
export function assertContinuous(counters: readonly number[]): void {
  const first = counters[0]!;
  assert.deepEqual(
    counters,
    counters.map((_, index) => first + index),
  );
}

export async function assertSound({ serials }: Rig, at: 0 | 1): Promise<void> {
  serials[at].send('verify\n');
  const { text } = await serials[at].waitFor((one) => one.startsWith('V '), {
    timeoutMs: 60_000,
    what: 'a verdict',
    from: 0,
  });
  const verdict = parseGuestLine(text);
  assert.ok(verdict?.kind === 'verification' && isSound(verdict), text);
}

export interface Move {
  /** Resolves when it stands still at its moment; rejects when it ended before. */
  readonly here: Promise<void>;
  readonly processId: number;
  /** After its moment. */
  goOn(): void;
  /** Its last line; null where it was killed. */
  readonly ended: Promise<Record<string, unknown> | null>;
}

/** A move in a process of its own that stands still at a step: libvirt-child.ts. */
export function startMove(rig: Rig, at: ChildOptions['at'], changes: Partial<ChildOptions> = {}): Move {
  const options: ChildOptions = {
    at,
    sourceUri: rig.hosts[0].uri,
    destinationUri: rig.hosts[1].uri,
    incomingFolder: rig.folder,
    stateDirectory: path.join(rig.folder, 'state'),
    strategy: 'frs',
    bandwidthBytesPerSecondMax: 40e6,
    ...changes,
  };
  const file = fileURLToPath(new URL('libvirt-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--no-warnings', file, JSON.stringify(options)]);
  let out = '';
  let err = '';
  const here = Promise.withResolvers<void>();
  here.promise.catch(() => undefined);
  child.stdout.on('data', (text) => {
    out += text;
    if (out.includes('here\n')) here.resolve();
  });
  child.stderr.on('data', (text) => (err = (err + text).slice(-4096)));
  child.stdin.on('error', () => undefined);
  const ended = once(child, 'close').then(() => {
    here.reject(new Error(`it ended before ${at}: ${out} ${err}`));
    const last = out.trimEnd().split('\n').at(-1) ?? '';
    return last.startsWith('{') ? (JSON.parse(last) as Record<string, unknown>) : null;
  });
  return { here: here.promise, processId: child.pid!, goOn: () => child.stdin.write('\n'), ended };
}

/** Waits until whoever has the newest migration's journal has written its end; null: nobody does. */
export async function untilJournalEnds(
  rig: Rig,
  timeoutMs: number,
): Promise<{ outcome: string; text: string } | null> {
  const deadlineMs = systemClock.nowMs() + timeoutMs;
  for (;;) {
    const end = listJournals(path.join(rig.folder, 'state')).at(-1)?.state?.end ?? null;
    if (end !== null || systemClock.nowMs() >= deadlineMs) return end;
    await sleep(50);
  }
}

/** `godwit …` as a user has it, with its JSON. */
export async function godwit(
  args: readonly string[],
  environment: NodeJS.ProcessEnv = {},
): Promise<{ code: number | null; json: Record<string, unknown>; err: string }> {
  const main = fileURLToPath(new URL('../../bin/godwit.mjs', import.meta.url));
  const child = spawn(process.execPath, ['--no-warnings', main, ...args, '--json'], {
    env: { ...process.env, ...environment },
  });
  let out = '';
  let err = '';
  child.stdout.on('data', (text) => (out += text));
  child.stderr.on('data', (text) => (err += text));
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, json: out === '' ? {} : JSON.parse(out), err };
}
