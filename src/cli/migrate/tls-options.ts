/**
 * The options of TLS with certificates of the operator's own, and addresses, as migrate and receive share
 * them.
 */

import path from 'node:path';
import type { Command } from 'commander';
import { GodwitError } from '../../base/index.ts';
import { loadTls, type TlsFiles } from '../../remote/index.ts';
import type { CommandOptions } from '../command.ts';

const FLAGS = { tlsCert: '--tls-cert', tlsKey: '--tls-key', tlsCa: '--tls-ca' } as const;

export function declareTls(command: Command): void {
  command
    .option('--tls-cert <file>', "this host's certificate (PEM), where the far side is started by hand")
    .option('--tls-key <file>', 'the key of that certificate')
    .option('--tls-ca <file>', "the authority that signed both hosts' certificates");
}

/** The first of them that is given, or null. */
export function strayTls(options: CommandOptions): string | null {
  return Object.entries(FLAGS).find(([name]) => options[name] !== undefined)?.[1] ?? null;
}

/** All of them, tried; the paths are absolute. Errors: USAGE_VALUE, USAGE_TLS. */
export function readTls(options: CommandOptions, serverName: string | null): TlsFiles {
  const paths = Object.entries(FLAGS).map(([name, flag]) => {
    const value = options[name];
    if (value !== undefined) return path.resolve(String(value));
    throw new GodwitError('USAGE_VALUE', `${flag} is missing: both ends prove themselves by a certificate`, {
      safe: 'nothing was started or changed',
      hint: '--tls-cert, --tls-key and --tls-ca; --insecure does without, where the network is trusted',
    });
  });
  const [certPath = '', keyPath = '', caPath = ''] = paths;
  const files = { certPath, keyPath, caPath, ...(serverName === null ? {} : { serverName }) };
  loadTls(files);
  return files;
}

/** "host:4444" or "[fd00::2]:4444". Errors: USAGE_ENDPOINT, naming `what`. */
export function readHostPort(text: string, what: string): { host: string; port: number } {
  const match = /^(?:\[([0-9a-fA-F:.]+(?:%\w+)?)\]|([^:/@[\]\s]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match === null || port > 65_535) {
    throw new GodwitError('USAGE_ENDPOINT', `"${text}" is no ${what}`, {
      safe: 'nothing was started or changed',
      hint: 'write HOST:PORT, like host2:4444 or [fd00::2]:4444',
    });
  }
  return { host: match[1] ?? match[2]!, port };
}
