/**
 * One move between two libvirts in namespaces, and everything that must hold after it. The far daemon is
 * reached by real ssh. Not responsible for what the moves come to together.
 */

import { existsSync, mkdirSync, readdirSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { MIB } from '../../src/base/index.ts';
import { checkDiskLog, lastHeartbeat, parseGuestLine, runCommand } from '../../src/lab/index.ts';
import { continuityOf, heartbeatsOf } from '../../src/lab/judge/heartbeats.ts';
import { joinSerial } from '../../src/lab/machine/serial.ts';
import {
  connectGetLibVersion,
  domainCreate,
  domainDefineXml,
  domainDestroy,
  domainIsPersistent,
  lookAtDomain,
} from '../../src/libvirt/index.ts';
import { listJournals } from '../../src/recovery/index.ts';
import { type Ending, godwit, openRig, type Rig, stateOf } from '../live/libvirt-scene.ts';
import type { SshHost } from '../live/ssh-rig.ts';

export interface MoveOptions {
  readonly strategy: string;
  readonly workload: 'uniform' | 'stress';
  readonly ssh: SshHost;
  /** With a gateway on the far host. */
  readonly paired: boolean;
  /** The gateway's cap, and what the rules are told. */
  readonly linkBitsPerSecond: number;
}

export interface MoveFigures {
  readonly libvirtVersion: string;
  readonly strategy: string;
  readonly workload: string;
  readonly succeeded: boolean;
  readonly why: string | null;
  readonly totalMs: number | null;
  readonly downtimeMs: number | null;
  readonly downtimePredictedMs: number | null;
  readonly transferredBytes: number | null;
  readonly badPages: number | null;
  readonly heartbeatsLost: number | null;
  /** Heartbeats that came twice, or both ends running. */
  readonly doubled: number;
  /** null: the log was not read. */
  readonly diskLogWhole: boolean | null;
  readonly persistentThere: boolean;
  readonly leftBehind: readonly string[];
}

/** Hot memory that a link of 200 Mbit/s just does not keep up with, and a body that does not compress. */
export const GUEST = { hotBytes: 8 * MIB, rateBytesPerSecond: 32 * MIB } as const;
const BEATS_AFTER = 5;
const SOON_MS = 60_000;

/** Never rejects for what the move did: that is in the figures. */
export async function runMove(t: Ending, options: MoveOptions): Promise<MoveFigures> {
  const rig = await openRig(t, { workload: options.workload, ...GUEST }, 'shared');
  const [source, destination] = rig.clients;
  const { domain } = await source.call(domainDefineXml, { xml: rig.xml });
  await source.call(domainCreate, { domain });
  await rig.serials[0].waitFor((text) => text.includes('H '), { timeoutMs: SOON_MS, what: 'heartbeats' });
  const { version } = await source.call(connectGetLibVersion, {});
  const said = await migrateOverSsh(rig, options);
  const moved = said.json['outcome'] === 'completed';
  const end = moved ? 1 : 0;
  const seen = await judgeGuest(rig, end);
  const there = await lookAtDomain(destination, rig.uuid);
  const [here, far] = [await stateOf(source, rig.uuid), there?.state ?? null];
  const bothRun = here?.state === 'running' && far?.state === 'running';
  const persistentThere =
    there !== null && (await destination.call(domainIsPersistent, { domain: there.ref })).persistent === 1;
  const diskLogWhole = await judgeDisk(rig, end);
  const figure = (name: string) => (typeof said.json[name] === 'number' ? (said.json[name] as number) : null);
  return {
    libvirtVersion: [1_000_000n, 1000n, 1n].map((unit) => (version / unit) % 1000n).join('.'),
    ...{ strategy: options.strategy, workload: options.workload },
    succeeded: moved && far?.state === 'running' && persistentThere,
    why: moved ? null : `${JSON.stringify(said.json['failure'])} ${said.err.slice(-500)}`,
    totalMs: figure('totalMigrationTimeMs'),
    downtimeMs: figure('downtimeMs'),
    downtimePredictedMs: figure('downtimePredictedMs'),
    transferredBytes: figure('transferredBytes'),
    badPages: seen.badPages,
    heartbeatsLost: seen.lost,
    doubled: (seen.repeated ?? 0) + (bothRun ? 1 : 0),
    diskLogWhole,
    persistentThere,
    leftBehind: moved ? await leftBehind(rig) : [],
  };
}

const environmentOf = (rig: Rig) => ({
  TMPDIR: path.join(rig.folder, 'tmp'),
  GODWIT_STATE_DIR: path.join(rig.folder, 'state'),
});

async function migrateOverSsh(rig: Rig, { strategy, ssh, linkBitsPerSecond, paired }: MoveOptions) {
  const [a, b] = rig.hosts;
  mkdirSync(environmentOf(rig).TMPDIR);
  const socket = path.join(b.runFolder, 'libvirt-sock');
  const rate = `${linkBitsPerSecond}bit/s`;
  return godwit(
    [
      ...['migrate', `libvirt:///guest?uri=${a.uri}`, `qemu+ssh://${ssh.name}/system?socket=${socket}`],
      ...['--rsh', ssh.rsh.join(' '), '--incoming-folder', rig.folder, '--unsafe'],
      ...(paired
        ? ['--remote-command', ssh.remoteCommand.join(' '), '--data-address', ssh.address]
        : ['--no-far-gateway']),
      ...['--strategy', strategy, '--link-rate', rate, '--bandwidth', rate, '--timeout', '60s'],
    ],
    environmentOf(rig),
  );
}

/** Beats go on, none is missing, and the guest checks every page of its memory. */
async function judgeGuest(rig: Rig, end: 0 | 1) {
  const serial = rig.serials[end];
  try {
    const seen = lastHeartbeat(serial.lines)?.counter ?? 0;
    const later = (text: string) => {
      const line = parseGuestLine(text);
      return line.kind === 'heartbeat' && line.counter >= seen + BEATS_AFTER;
    };
    await serial.waitFor(later, { timeoutMs: SOON_MS, what: 'further heartbeats' });
    serial.send('verify\n');
    const isVerdict = (text: string) => parseGuestLine(text).kind === 'verification';
    const verdict = parseGuestLine(
      (await serial.waitFor(isVerdict, { timeoutMs: SOON_MS, what: 'a verdict' })).text,
    );
    const { lines } = end === 1 ? joinSerial(rig.serials[0], rig.serials[1]) : rig.serials[0];
    const { lost, repeated } = continuityOf(heartbeatsOf(lines).map((beat) => beat.counter));
    return { badPages: verdict.kind === 'verification' ? verdict.badPages : null, lost, repeated };
  } catch {
    return { badPages: null, lost: null, repeated: null };
  }
}

/** The VM is ended for it: its image is read as a machine that boots from it would. */
async function judgeDisk(rig: Rig, end: 0 | 1): Promise<boolean | null> {
  const found = await lookAtDomain(rig.clients[end], rig.uuid);
  if (rig.image === null || found === null || found.ref.id < 0) return null;
  const completedSequence = lastHeartbeat(rig.serials[end].lines)?.diskSequence ?? null;
  await rig.clients[end].call(domainDestroy, { domain: found.ref });
  const raw = path.join(rig.folder, 'disk.raw');
  await runCommand(['qemu-img', 'convert', '-f', 'qcow2', '-O', 'raw', rig.image, raw]);
  const { seed, diskLogBytes } = rig.guest;
  const log = checkDiskLog(readFileSync(raw).subarray(0, diskLogBytes), {
    ...{ seed, diskLogBytes, completedSequence },
  });
  return log.lastSequence !== null && log.gapCount + log.duplicates + log.damaged === 0;
}

/** What a move that has ended may not leave: at the source, in its folders, in its journal. */
async function leftBehind(rig: Rig): Promise<string[]> {
  const found: string[] = [];
  if ((await lookAtDomain(rig.clients[0], rig.uuid)) !== null) found.push('the domain at the source');
  const { TMPDIR, GODWIT_STATE_DIR } = environmentOf(rig);
  found.push(...readdirSync(TMPDIR).map((name) => `${TMPDIR}/${name}`));
  found.push(...readdirSync(rig.folder).filter((name) => /^godwit-.*\.sock$/.test(name)));
  for (const { path: journal, state } of listJournals(GODWIT_STATE_DIR)) {
    if (state?.end?.outcome !== 'completed') found.push(`${journal} without its end`);
    if (existsSync(path.join(path.dirname(journal), 'control.sock')))
      found.push(`control socket of ${journal}`);
  }
  return found;
}
