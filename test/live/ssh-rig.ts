/**
 * A real sshd on the lab's destination host, with keys and a configuration of its own, and the `--rsh` that
 * reaches it. Not responsible for what is run over it.
 */

import { execFileSync } from 'node:child_process';
import { accessSync, constants, mkdirSync, writeFileSync } from 'node:fs';
import { userInfo } from 'node:os';
import { delimiter, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { sleep } from '../../src/base/index.ts';
import { type LabProcess, type Network, startProcess } from '../../src/lab/index.ts';

/** The program as it is installed. */
export const GODWIT = fileURLToPath(new URL('../../bin/godwit.mjs', import.meta.url));

const READY_TIMEOUT_MS = 10_000;

export interface SshHost {
  /** As in ssh://HOST/. */
  readonly name: string;
  /** For --rsh. */
  readonly rsh: readonly string[];
  /** For --remote-command. */
  readonly remoteCommand: readonly string[];
  /** Address of the destination host on the shaped link. */
  readonly address: string;
  readonly daemon: LabProcess;
  close(): Promise<void>;
}

/** sshd wants to be started by its whole path. null where there is none. */
export function findSshd(): string | null {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    const path = join(folder, 'sshd');
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not here
    }
  }
  return null;
}

/** Errors: what sshd wrote, when it does not start. */
export async function openSshHost(network: Network, folder: string): Promise<SshHost> {
  const sshd = findSshd();
  if (sshd === null) throw new Error('sshd is not installed');
  const { listen, connect } = await network.openPort();
  const at = (name: string) => join(folder, name);
  for (const name of ['host-key', 'user-key']) {
    execFileSync('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', at(name)]);
  }
  const publicKey = (name: string) =>
    execFileSync('ssh-keygen', ['-y', '-f', at(name)], { encoding: 'utf8' });
  writeFileSync(at('authorized'), publicKey('user-key'), { mode: 0o600 });
  const known = `[${connect.host}]:${connect.port} ${publicKey('host-key')}`;
  writeFileSync(at('known'), known);
  writeFileSync(at('sshd_config'), serverConfiguration(at, listen));
  writeFileSync(at('ssh_config'), clientConfiguration(at, connect));
  // Where sshd locks its unprivileged half in; packages make it at boot.
  if (process.getuid?.() === 0) mkdirSync('/run/sshd', { recursive: true, mode: 0o755 });
  const daemon = await startProcess(network.destination.command([sshd, '-D', '-e', '-f', at('sshd_config')]));
  await ready(daemon);
  return {
    name: 'far',
    rsh: ['ssh', '-F', at('ssh_config')],
    remoteCommand: [process.execPath, GODWIT],
    address: listen.host,
    daemon,
    close: () => daemon.kill(),
  };
}

type At = (name: string) => string;
type Endpoint = { readonly host: string; readonly port: number };

function serverConfiguration(at: At, { host, port }: Endpoint): string {
  return `${[
    `ListenAddress ${host}:${port}`,
    `HostKey ${at('host-key')}`,
    `AuthorizedKeysFile ${at('authorized')}`,
    'PidFile none',
    // The folder lies below a world-writable one.
    'StrictModes no',
    'UsePAM no',
    'PasswordAuthentication no',
    'KbdInteractiveAuthentication no',
    'PermitRootLogin prohibit-password',
  ].join('\n')}\n`;
}

function clientConfiguration(at: At, { host, port }: Endpoint): string {
  return `${[
    'Host far',
    `  HostName ${host}`,
    `  Port ${port}`,
    `  User ${userInfo().username}`,
    `  IdentityFile ${at('user-key')}`,
    '  IdentitiesOnly yes',
    `  UserKnownHostsFile ${at('known')}`,
    '  GlobalKnownHostsFile /dev/null',
    '  BatchMode yes',
  ].join('\n')}\n`;
}

async function ready(daemon: LabProcess): Promise<void> {
  const deadlineMs = performance.now() + READY_TIMEOUT_MS;
  while (!daemon.stderr().includes('Server listening')) {
    if (daemon.ending() !== null || performance.now() > deadlineMs) {
      throw new Error(`sshd does not start: ${daemon.stderr()}`);
    }
    await sleep(10);
  }
}
