/** The whole way as a user goes it: `godwit migrate qmp: ssh:`, a real sshd, two hosts, TLS on the link. */

import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { after, before, test } from 'node:test';
import { sleep } from '../../src/base/index.ts';
import {
  type LabPair,
  makeRunFolder,
  type Network,
  openNetwork,
  removeRunFolder,
  verifyGuest,
} from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { openSmallPair } from './small-pair.ts';
import { findSshd, GODWIT, openSshHost, type SshHost } from './ssh-rig.ts';

const skip = whyNot();
let network: Network;
let ssh: SshHost;
let pair: LabPair;
let folder: string;

function whyNot(): string | false {
  return qemuMissing() || (findSshd() === null ? 'sshd is not installed (openssh-server)' : false);
}

before(async () => {
  if (skip) return;
  network = await openNetwork({ linkBytesPerSecond: 50e6 });
  folder = makeRunFolder();
  ssh = await openSshHost(network, folder);
  pair = await openSmallPair(network, { disk: 'plain' });
});

after(async () => {
  if (skip) return;
  await pair?.close();
  await ssh?.close();
  await network?.close();
  if (folder) removeRunFolder(folder);
});

interface Run {
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
  /** Command lines of processes that were seen meanwhile and concern this migration. */
  readonly seen: ReadonlySet<string>;
}

async function godwit(destination: string, ...options: string[]): Promise<Run> {
  const args = [GODWIT, 'migrate', `qmp:${pair.source.controlPath}`, destination];
  const child = spawn(
    process.execPath,
    [...args, '--rsh', ssh.rsh.join(' '), '--remote-command', ssh.remoteCommand.join(' '), ...options],
    { stdio: ['ignore', 'pipe', 'pipe'], env: { ...process.env, GODWIT_STATE_DIR: `${folder}/state` } },
  );
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += String(chunk);
  });
  child.stderr.on('data', (chunk) => {
    err += String(chunk);
  });
  const seen = new Set<string>();
  const timer = setInterval(() => {
    for (const line of commandLines()) if (isOurs(line)) seen.add(line);
  }, 100);
  const code = await new Promise<number | null>((resolve) => child.once('close', resolve));
  clearInterval(timer);
  return { code, out, err, seen };
}

function isOurs(line: string): boolean {
  return line.includes(`${folder}/ssh_config`) || line.includes('receive --stdio');
}

/** Command lines and environments: where a key must not be. */
function commandLines(): string[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        return [readFileSync(`/proc/${name}/cmdline`, 'utf8').replaceAll('\0', ' ')];
      } catch {
        return [];
      }
    });
}

test('a socket that is not there is a finding, with what ssh said', { skip }, async () => {
  const { code, out } = await godwit(`ssh://${ssh.name}/nowhere.sock`, '--dry-run', '--json');
  const { ready, findings } = JSON.parse(out) as { ready: boolean; findings: { code: string }[] };
  assert.deepEqual([code, ready, findings[0]?.code], [1, false, 'REACH_FAILED']);
});

test('--dry-run over ssh compares both ends and changes nothing', { skip }, async () => {
  const before = await pair.destination.qmp.execute('query-migrate-capabilities');
  const { code, out } = await godwit(
    `ssh://${ssh.name}${pair.destination.controlPath}`,
    '--dry-run',
    '--json',
  );
  const report = JSON.parse(out) as { ready: boolean; findings: { code: string; severity: string }[] };
  assert.deepEqual([code, report.ready], [0, true]);
  // Names of another host's files mean nothing here, although in this lab they are the same.
  assert.deepEqual(
    report.findings.filter(({ severity }) => severity !== 'info').map((finding) => finding.code),
    ['DISK_UNSEEN'],
  );
  assert.deepEqual(await pair.destination.qmp.execute('query-migrate-capabilities'), before);
});

test('a VM moves over ssh and TLS, and nothing is left behind', { skip }, async (context) => {
  if (network.note !== null) context.diagnostic(network.note);
  const { code, out, err, seen } = await godwit(
    `ssh://${ssh.name}${pair.destination.controlPath}`,
    ...['--json', '--timeout', '60s', '--on-timeout', 'switch'],
  );
  assert.equal(code, 0, err);
  const report = JSON.parse(out) as {
    arrangement: string;
    success: boolean;
    downtimeMs: number;
    link: { connections: number; resentBytes: number };
  };
  assert.deepEqual([report.arrangement, report.success], ['paired', true]);
  assert.deepEqual([report.link.connections, report.link.resentBytes], [2, 0]);
  assert.equal((await queryStatus(pair.source.qmp)).running, false);
  assert.equal((await queryStatus(pair.destination.qmp)).running, true);
  assert.equal((await verifyGuest(pair.destination)).badPages, 0);
  assert.ok(
    [...seen].some((line) => line.includes('receive --stdio')),
    'the far gateway was seen',
  );
  for (const line of seen) assert.doesNotMatch(line, /[0-9a-f]{64}/, 'no key on a command line');
  // The far side ends when its channel does, which the end of godwit's own process does not wait for.
  for (let waitedMs = 0; commandLines().some(isOurs) && waitedMs < 5000; waitedMs += 50) await sleep(50);
  assert.deepEqual(commandLines().filter(isOurs), []);
});
