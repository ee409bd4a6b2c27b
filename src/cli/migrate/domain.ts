/**
 * `godwit migrate libvirt:DOMAIN DESTINATION`: which domain on which libvirt moves where. Not responsible for
 * the options that both kinds of source share (options.ts).
 */

import { GodwitError } from '../../base/index.ts';
import { INCOMING_FOLDER, type MigrateDomainOptions, type MigrateOptions } from '../../controller/index.ts';
import type { CommandOptions } from '../command.ts';
import { splitWords } from '../screen/words.ts';
import { readFar } from './far.ts';

const URI_DEFAULT = 'qemu:///system';

export function isDomain(source: string | undefined): boolean {
  return source?.startsWith('libvirt:') === true;
}

/** What has no meaning, or none yet, where libvirt owns both VMs. */
const STRAY: readonly (readonly [string, string, string])[] = [
  ['destinationAddress', '--destination-address', 'libvirt says where its QEMU listens'],
  ['start', '--start', 'libvirt starts its QEMU itself'],
];

export function readDomainOptions(
  [source = '', destination = '']: readonly string[],
  shared: Omit<MigrateOptions, 'sourceQmpPath' | 'destinationQmpPath' | 'far'>,
  options: CommandOptions,
): MigrateDomainOptions {
  for (const [name, flag, why] of STRAY) {
    if (options[name] !== undefined) {
      throw new GodwitError('USAGE_VALUE', `${flag} does not go with libvirt: ${why}`, { safe: NOTHING });
    }
  }
  if (options['onTimeout'] === 'post-copy') {
    throw new GodwitError(
      'USAGE_VALUE',
      '--on-timeout post-copy does not go with libvirt: it owns both QEMUs',
      {
        safe: NOTHING,
      },
    );
  }
  return {
    ...shared,
    ...parseDomain(source),
    destination: readDomainDestination(destination, options),
    unsafe: options['unsafe'] === true,
  };
}

const NOTHING = 'nothing was started or changed';

/** `libvirt:NAME` on qemu:///system, or `libvirt:///NAME?uri=URI`. Errors: USAGE_ENDPOINT. */
export function parseDomain(text: string): { sourceUri: string; domain: string } {
  const long = /^libvirt:\/\/\/([^?]+)(?:\?uri=(.+))?$/.exec(text);
  const short = /^libvirt:([^/?][^?]*)$/.exec(text);
  const name = long?.[1] ?? short?.[1];
  if (name === undefined) {
    throw endpoint(text, 'write libvirt:DOMAIN, or libvirt:///DOMAIN?uri=qemu:///session');
  }
  return { sourceUri: decoded(long?.[2] ?? URI_DEFAULT), domain: decoded(name) };
}

/**
 * `qemu+ssh://[user@]HOST[:PORT]/system`, `libvirt+ssh://…/`, or a daemon of this host. Errors:
 * USAGE_ENDPOINT.
 */
function readDomainDestination(text: string, options: CommandOptions): MigrateDomainOptions['destination'] {
  const incomingFolder = String(options['incomingFolder'] ?? INCOMING_FOLDER);
  if (/^qemu(\+unix)?:\/\/\//.test(text)) {
    refuseFar(options);
    return { text, uri: text, reach: null, far: null, incomingFolder };
  }
  if (/^(qemu|libvirt)\+tls:/.test(text)) {
    throw endpoint(text, "libvirt's TLS is not spoken yet: write qemu+ssh://HOST/system");
  }
  const ssh =
    /^(?:qemu|libvirt)\+ssh:\/\/((?:[^@/\s]+@)?[\w.-]+|\[[0-9a-fA-F:]+\])(?::(\d{1,5}))?(\/system|\/session|\/)?(\?socket=\/\S+)?$/.exec(
      text,
    );
  if (ssh === null) throw endpoint(text, 'write qemu+ssh://[user@]HOST[:PORT]/system');
  const [, host = '', port, path = '/system', socket = ''] = ssh;
  const rsh = splitWords('--rsh', String(options['rsh']));
  const reach = { command: [...rsh, ...(port === undefined ? [] : ['-p', port])], host };
  const single = options['farGateway'] === false;
  if (single) refuseFar(options);
  return {
    text,
    uri: `qemu://${path === '/' ? '/system' : path}${socket}`,
    reach,
    far: single ? null : readFar(options, reach),
    incomingFolder,
  };
}

/** Errors: USAGE_VALUE. */
function refuseFar(options: CommandOptions): void {
  for (const [name, flag] of [
    ['dataAddress', '--data-address'],
    ['workers', '--workers'],
  ] as const) {
    if (options[name] === undefined) continue;
    throw new GodwitError('USAGE_VALUE', `${flag} needs a gateway on the far host`, {
      safe: NOTHING,
      hint: 'write qemu+ssh://HOST/system, without --no-far-gateway',
    });
  }
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw endpoint(text, 'a % stands for a byte, as in a URL');
  }
}

function endpoint(text: string, hint: string): GodwitError {
  return new GodwitError('USAGE_ENDPOINT', `"${text}" does not name a libvirt domain or host`, {
    safe: NOTHING,
    hint,
  });
}
