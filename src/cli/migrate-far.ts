/**
 * The destination of `godwit migrate`: a QEMU of this host, or one of another host behind ssh, and the options that go
 * with it. Not responsible for the others (migrate-options.ts).
 */

import type { Command } from 'commander';
import { GodwitError, parseDurationMs } from '../base/index.ts';
import {
  defaultWorkers,
  FAR_DEFAULTS,
  type FarOptions,
  type MigrateOptions,
  parseDataAddress,
  parseQmpEndpoint,
} from '../controller/index.ts';
import { LANES_MAX } from '../link/index.ts';
import type { CommandOptions } from './command.ts';
import { splitWords } from './words.ts';

const LINK_TIMEOUT_MS_MIN = 1000;
const WORKERS_MAX = 64;

export function declareFarOptions(command: Command): void {
  command
    .option('--rsh <command>', 'ssh with its options, for ssh:// destinations', FAR_DEFAULTS.rsh.join(' '))
    .option(
      '--remote-command <command>',
      'how godwit is started on the far host',
      FAR_DEFAULTS.remoteCommand.join(' '),
    )
    .option(
      '--data-address <host[:port]>',
      "the far host's address for data (default: the host that ssh resolves, any port)",
    )
    .option('--connections <count>', 'data connections to the far host', String(FAR_DEFAULTS.connections))
    .option(
      '--link-timeout <time>',
      'how long all of them may be broken',
      `${FAR_DEFAULTS.linkTimeoutMs / 1000}s`,
    )
    .option('--workers <count>', `threads that encode pages (default: ${defaultWorkers()} here)`);
}

const FAR_ONLY = ['dataAddress', 'workers'] as const;

/** Errors: USAGE_*. */
export function readDestination(
  text: string,
  options: CommandOptions,
): Pick<MigrateOptions, 'destinationQmpPath' | 'far'> {
  if (!text.startsWith('ssh:')) {
    const stray = FAR_ONLY.find((name) => options[name] !== undefined);
    if (stray === undefined) return { destinationQmpPath: parseQmpEndpoint(text), far: null };
    const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
    throw usage(`${flag} needs an ssh:// destination`, 'write ssh://HOST/path/of/the/qmp.sock');
  }
  if (options['destinationAddress'] !== undefined) {
    throw usage(
      '--destination-address does not go with an ssh:// destination',
      'the data goes to the far gateway; --data-address names where that is',
    );
  }
  const { host, port, path } = parseSshEndpoint(text);
  const rsh = splitWords('--rsh', String(options['rsh']));
  return {
    destinationQmpPath: path,
    far: readFar(options, [...rsh, ...(port === null ? [] : ['-p', port])], host),
  };
}

function readFar(options: CommandOptions, command: readonly string[], host: string): FarOptions {
  const dataAddress = options['dataAddress'] === undefined ? null : String(options['dataAddress']);
  parseDataAddress(dataAddress);
  const linkTimeoutMs = parseDurationMs(String(options['linkTimeout']));
  if (linkTimeoutMs < LINK_TIMEOUT_MS_MIN) throw usage('--link-timeout is too short', 'at least 1s');
  return {
    reach: { command, host },
    remoteCommand: splitWords('--remote-command', String(options['remoteCommand'])),
    dataAddress,
    connections: count('--connections', options['connections'], 1, LANES_MAX),
    workers:
      options['workers'] === undefined
        ? defaultWorkers()
        : count('--workers', options['workers'], 0, WORKERS_MAX),
    linkTimeoutMs,
  };
}

/** ssh://[user@]host[:port]/absolute/path */
function parseSshEndpoint(text: string): { host: string; port: string | null; path: string } {
  const match = /^ssh:\/\/(?:([^@/]+)@)?(\[[0-9a-fA-F:.]+(?:%\w+)?\]|[^:/@[\]]+)(?::(\d{1,5}))?(\/.+)$/.exec(
    text,
  );
  const [, user, name = '', port = null, path = ''] = match ?? [];
  const host = name.replace(/^\[|\]$/g, '');
  // What begins with a dash would be an option to ssh.
  if (match === null || host.startsWith('-') || user?.startsWith('-') || Number(port ?? 1) > 65_535) {
    throw new GodwitError('USAGE_ENDPOINT', `"${text}" does not name a QEMU of another host`, {
      safe: 'nothing was started or changed',
      hint: 'write ssh://[user@]HOST[:PORT]/path/of/the/qmp.sock',
    });
  }
  return { host: user === undefined ? host : `${user}@${host}`, port, path };
}

function count(name: string, value: unknown, least: number, most: number): number {
  const number = /^\d{1,6}$/.test(String(value)) ? Number(value) : Number.NaN;
  if (number >= least && number <= most) return number;
  throw usage(`${name} "${String(value)}" is not possible`, `from ${least} to ${most}`);
}

function usage(message: string, hint: string): GodwitError {
  return new GodwitError('USAGE_VALUE', message, { safe: 'nothing was started or changed', hint });
}
