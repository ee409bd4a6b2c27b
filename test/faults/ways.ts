/**
 * How the command reaches the destination: a socket here, ssh, or a far side that waits. Not responsible
 * for VMs (scene.ts).
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type LabProcess, startProcess } from '../../src/lab/index.ts';
import { GODWIT } from '../live/ssh-rig.ts';
import { signal } from './processes.ts';
import type { Slot } from './slot.ts';

const CERTIFICATES = fileURLToPath(new URL('../certificates/', import.meta.url));
/** Shorter than what breaks for good is watched. */
const LINK_OPTIONS = ['--link-timeout', '6s', '--workers', '1'];
/** What is never told of the end ends by itself. */
const LINGER = '60s';
const LISTENING_TIMEOUT_MS = 60_000;

export function nearWay(qmpPath: string): string[] {
  return [`qmp:${qmpPath}`];
}

/** sshd passes no environment on. */
export function sshWay(
  { ssh }: Slot,
  qmpPath: string,
  environment: Readonly<Record<string, string>>,
): string[] {
  const own = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  const { name, rsh, remoteCommand } = ssh!;
  return [
    ...[`ssh://${name}${qmpPath}`, '--rsh', rsh.join(' ')],
    ...['--remote-command', ['env', ...own, ...remoteCommand].join(' '), ...LINK_OPTIONS],
  ];
}

/** A far side that was started by hand and waits for one migration. */
export class ListenWay {
  readonly words: readonly string[];
  readonly #process: LabProcess;

  private constructor(address: string, started: LabProcess) {
    this.words = [`tls://${address}`, ...certificates('near'), '--tls-name', 'far.test', ...LINK_OPTIONS];
    this.#process = started;
  }

  static async open(
    { network }: Slot,
    qmpPath: string,
    environment: Readonly<Record<string, string>>,
  ): Promise<ListenWay> {
    const { listen, connect } = await network!.openPort();
    const own = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
    const started = await startProcess(
      network!.destination.command([
        ...['env', ...own, process.execPath, GODWIT, 'receive', `qmp:${qmpPath}`],
        ...['--listen', `${listen.host}:${listen.port}`, ...certificates('far'), '--linger', LINGER],
      ]),
    );
    await untilListening(started);
    return new ListenWay(`${connect.host}:${connect.port}`, started);
  }

  /** false: it has not ended by then. */
  async ended(timeoutMs: number): Promise<boolean> {
    const late = new Promise<null>((resolve) => setTimeout(() => resolve(null), timeoutMs).unref());
    return (await Promise.race([this.#process.exited, late])) !== null;
  }

  close(): Promise<void> {
    signal(this.#process.pid, 'SIGCONT');
    return this.#process.kill();
  }
}

async function untilListening(far: LabProcess): Promise<void> {
  let said = '';
  const heard = new Promise<void>((resolve) => {
    for (const stream of [far.child.stdout!, far.child.stderr!]) {
      stream.on('data', (chunk) => {
        said += String(chunk);
        if (said.includes('listening on')) resolve();
      });
    }
  });
  const late = new Promise<never>((_, reject) => {
    const why = () => reject(new Error(`godwit receive does not listen: ${said}`));
    setTimeout(why, LISTENING_TIMEOUT_MS).unref();
    void far.exited.then(why);
  });
  late.catch(() => undefined);
  await Promise.race([heard, late]);
}

function certificates(name: string): string[] {
  const at = (file: string) => join(CERTIFICATES, file);
  return ['--tls-cert', at(`${name}.pem`), '--tls-key', at(`${name}.key`), '--tls-ca', at('ours.pem')];
}
