/**
 * The destination of `godwit migrate`: a QEMU of this host, or one of another host behind ssh or behind a
 * `godwit receive` that was started by hand, and the options that go with it. Not responsible for the others
 * (options.ts).
 */

import { randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { GodwitError, parseDurationMs } from '../../base/index.ts';
import {
  defaultWorkers,
  FAR_DEFAULTS,
  type FarOptions,
  type MigrateOptions,
  parseQmpEndpoint,
} from '../../controller/index.ts';
import { LANES_MAX, MIGRATION_ID_BYTES } from '../../link/index.ts';
import { type ListenerReach, listenerName, parseDataAddress, type ReachSpec } from '../../remote/index.ts';
import type { CommandOptions } from '../command.ts';
import { splitWords } from '../screen/words.ts';
import { declareTls, readHostPort, readTls, strayTls } from './tls-options.ts';

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
    .option(
      '--no-far-gateway',
      'ssh:// without godwit on the far host: the QEMU there takes the stream itself, over TLS',
    )
    .option('--connections <count>', 'data connections to the far host', String(FAR_DEFAULTS.connections))
    .option(
      '--link-timeout <time>',
      'give up once every connection to the far host has been broken for so long',
      `${FAR_DEFAULTS.linkTimeoutMs / 1000}s`,
    )
    .option('--workers <count>', `threads that encode pages (default: ${defaultWorkers()} here)`);
  declareTls(command);
  command.option(
    '--tls-name <name>',
    'the name in the far certificate, where it is not HOST of tls://HOST:PORT',
  );
}

type Destination = Pick<MigrateOptions, 'destinationQmpPath' | 'far'>;

/** Errors: USAGE_*. */
export function readDestination(text: string, sourceQmpPath: string, options: CommandOptions): Destination {
  const scheme = /^(ssh|tls|tcp):/.exec(text)?.[1];
  if (scheme === undefined) {
    refuseStray(options, ['dataAddress', 'workers'], 'needs a destination on another host');
  } else if (options['destinationAddress'] !== undefined) {
    throw usage(
      '--destination-address goes with a qmp: destination only',
      'the data goes to the far gateway; for ssh:// --data-address names where that is',
    );
  }
  if (scheme !== 'tls') {
    const stray = options['tlsName'] === undefined ? strayTls(options) : '--tls-name';
    if (stray !== null) throw usage(`${stray} needs a tls:// destination`, 'write tls://HOST:PORT');
  }
  if (options['start'] === true && scheme !== undefined && scheme !== 'ssh') {
    throw usage(
      '--start needs ssh://HOST, or a qmp: destination of this host',
      'a godwit receive starts no QEMU',
    );
  }
  if (options['farGateway'] === false && scheme !== 'ssh') {
    throw usage('--no-far-gateway needs a destination behind ssh', 'write ssh://HOST/path/of/the/qmp.sock');
  }
  switch (scheme) {
    case 'ssh':
      return readSsh(text, sourceQmpPath, options);
    case 'tls':
    case 'tcp':
      return readListener(text, scheme, options);
    default:
      return { destinationQmpPath: parseQmpEndpoint(text), far: null };
  }
}

function refuseStray(options: CommandOptions, names: readonly string[], why: string): void {
  const stray = names.find((name) => options[name] !== undefined);
  if (stray === undefined) return;
  const flag = `--${stray.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
  throw usage(`${flag} ${why}`, 'write ssh://HOST/path/of/the/qmp.sock');
}

/** The QMP socket of a QEMU that is to be started there is called as the source's, unless it has a name. */
function readSsh(text: string, sourceQmpPath: string, options: CommandOptions): Destination {
  const isWhole = options['start'] !== true || /^ssh:\/\/[^/]+\/./.test(text);
  const { host, port, path } = parseSshEndpoint(isWhole ? text : text.replace(/\/$/, '') + sourceQmpPath);
  const rsh = splitWords('--rsh', String(options['rsh']));
  const command = [...rsh, ...(port === null ? [] : ['-p', port])];
  const far = readFar(options, { command, host });
  return {
    destinationQmpPath: path,
    far: options['farGateway'] === false ? { ...far, withoutGateway: true } : far,
  };
}

/** tls://host:port or tcp://host:port: a godwit receive that listens there. */
function readListener(text: string, scheme: 'tls' | 'tcp', options: CommandOptions): Destination {
  const address = readHostPort(text.slice(`${scheme}://`.length), `address of a godwit receive`);
  if (!text.startsWith(`${scheme}://`) || address.port === 0) {
    throw new GodwitError('USAGE_ENDPOINT', `"${text}" does not name a godwit receive`, {
      safe: 'nothing was started or changed',
      hint: `write ${scheme}://HOST:PORT, as godwit receive says it`,
    });
  }
  refuseStray(options, ['dataAddress'], 'needs an ssh:// destination: here the data goes where QMP goes');
  if (scheme === 'tcp' && options['insecure'] !== true) {
    throw new GodwitError('USAGE_INSECURE', "tcp:// sends the guest's memory over the network in clear", {
      safe: 'nothing was started or changed',
      hint: 'use tls:// with certificates, or ssh://; add --insecure if that network is trusted',
    });
  }
  const tlsName = options['tlsName'] === undefined ? null : String(options['tlsName']);
  const listener: ListenerReach = {
    ...address,
    tls: scheme === 'tls' ? readTls(options, tlsName) : null,
    session: randomBytes(MIGRATION_ID_BYTES).toString('hex'),
  };
  const reach = { command: [], host: listener.host, listener };
  return { destinationQmpPath: listenerName(listener), far: readFar(options, reach) };
}

/** The far gateway behind `reach`. */
export function readFar(options: CommandOptions, reach: ReachSpec): FarOptions {
  const dataAddress = options['dataAddress'] === undefined ? null : String(options['dataAddress']);
  parseDataAddress(dataAddress);
  const linkTimeoutMs = parseDurationMs(String(options['linkTimeout']));
  if (linkTimeoutMs < LINK_TIMEOUT_MS_MIN) throw usage('--link-timeout is too short', 'at least 1s');
  return {
    reach,
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
