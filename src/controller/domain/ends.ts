/** Both daemons and the domain, before anything is changed. Not responsible for the migration. */

import { errorMessage, GodwitError } from '../../base/index.ts';
import {
  connectGetLibVersion,
  connectGetVersion,
  connectLibvirt,
  type DomainRef,
  domainGetInfo,
  domainGetXmlDesc,
  domainIsPersistent,
  domainLookupById,
  domainLookupByName,
  domainLookupByUuid,
  FAULT,
  faultCode,
  isUuid,
  type LibvirtClient,
  lookAtDomain,
  parseLibvirtUri,
} from '../../libvirt/index.ts';
import { type Forward, forwardSocket } from '../../remote/index.ts';
import type { DomainDestination, MigrateDomainOptions } from './options.ts';

/** 11,003,000: the first that was tried and sets QEMU's switchover-ack; 10.0 does not. */
const ACK_SINCE = 11_003_000;

export interface DomainEnds {
  readonly source: LibvirtClient;
  readonly destination: LibvirtClient;
  readonly domain: DomainRef;
  readonly persistent: boolean;
  readonly guestWasRunning: boolean;
  readonly memoryBytes: number;
  /** "11.3.0", of the source. */
  readonly libvirtVersion: string;
  readonly qemuVersion: { readonly major: number; readonly minor: number; readonly micro: number };
  /** null: libvirt names another. */
  readonly accelerator: 'kvm' | 'tcg' | null;
  readonly ackGate: boolean;
  reconnect(end: 'source' | 'destination'): Promise<LibvirtClient>;
  close(): Promise<void>;
}

/** Errors: those of connecting; DOMAIN_NOT_FOUND, DOMAIN_STATE, DOMAIN_EXISTS. */
export async function openEnds(options: MigrateDomainOptions, signal: AbortSignal): Promise<DomainEnds> {
  const way = new DestinationWay(options.destination);
  const near = () => connectLibvirt({ uri: options.sourceUri, signal, ...SESSION });
  const opened: LibvirtClient[] = [];
  try {
    const source = await near();
    opened.push(source);
    const destination = await way.connect(signal);
    opened.push(destination);
    const domain = await findDomain(source, options.domain);
    const found = await lookAtDomain(source, domain.uuid);
    const state = found?.state.state ?? 'gone';
    if (state !== 'running' && state !== 'paused') {
      throw new GodwitError('DOMAIN_STATE', `the domain ${domain.name} is ${state}`, {
        safe: 'nothing was changed',
        hint: 'only a domain that runs or is paused can be moved live',
      });
    }
    const there = await lookAtDomain(destination, domain.uuid);
    if (there !== null && there.ref.id >= 0) {
      throw new GodwitError(
        'DOMAIN_EXISTS',
        `the destination has this domain already, ${there.state.state}`,
        {
          safe: 'nothing was changed',
          hint: 'are both URIs one host? Else look which copy lives, and end the other',
        },
      );
    }
    const { version } = await source.call(connectGetLibVersion, {});
    const { maxMemory } = await source.call(domainGetInfo, { domain });
    const { persistent } = await source.call(domainIsPersistent, { domain });
    return {
      source,
      destination,
      domain,
      persistent: persistent !== 0,
      guestWasRunning: state === 'running',
      memoryBytes: Number(maxMemory) * 1024,
      libvirtVersion: Object.values(versionOf(version)).join('.'),
      qemuVersion: versionOf((await source.call(connectGetVersion, {})).version),
      accelerator: acceleratorOf((await source.call(domainGetXmlDesc, { domain, flags: 0 })).xml),
      ackGate: Number(version) >= ACK_SINCE,
      reconnect: (end) =>
        end === 'source' ? connectLibvirt({ uri: options.sourceUri, ...SESSION }) : way.connect(null),
      close: async () => {
        await Promise.all(opened.map((client) => client.close()));
        way.close();
      },
    };
  } catch (error) {
    await Promise.all(opened.map((client) => client.close()));
    way.close();
    throw error;
  }
}

const SESSION = { runtimeFolder: process.env['XDG_RUNTIME_DIR'] ?? null };

/** The far daemon's socket, here or through ssh. */
class DestinationWay {
  readonly #destination: DomainDestination;
  #forward: Forward | null = null;

  constructor(destination: DomainDestination) {
    this.#destination = destination;
  }

  async connect(signal: AbortSignal | null): Promise<LibvirtClient> {
    const { uri, reach } = this.#destination;
    const given = signal === null ? {} : { signal };
    if (reach === null) return connectLibvirt({ uri, ...SESSION, ...given });
    if (this.#forward?.alive === false) this.close();
    const { driver, socketPaths } = parseLibvirtUri(uri);
    let last: unknown = null;
    for (const path of socketPaths) {
      try {
        this.#forward ??= await forwardSocket(reach, path, signal ?? AbortSignal.timeout(60_000));
        return await connectLibvirt({ uri: `${driver}?socket=${this.#forward.path}`, ...given });
      } catch (error) {
        this.close();
        last = error;
      }
    }
    throw last;
  }

  close(): void {
    this.#forward?.close();
    this.#forward = null;
  }
}

/**
 * Errors: DOMAIN_NOT_FOUND. A name wins over an id, as with virsh it does not: names of digits only are rare.
 */
async function findDomain(client: LibvirtClient, text: string): Promise<DomainRef> {
  const tries = [
    ...(isUuid(text.toLowerCase())
      ? [() => client.call(domainLookupByUuid, { uuid: text.toLowerCase() })]
      : []),
    () => client.call(domainLookupByName, { name: text }),
    ...(/^\d{1,9}$/.test(text) ? [() => client.call(domainLookupById, { id: Number(text) })] : []),
  ];
  let last: unknown = null;
  for (const lookUp of tries) {
    try {
      return (await lookUp()).domain;
    } catch (error) {
      if (faultCode(error) !== FAULT.NO_DOMAIN) throw error;
      last = error;
    }
  }
  throw new GodwitError('DOMAIN_NOT_FOUND', `libvirt knows no domain "${text}": ${errorMessage(last)}`, {
    safe: 'nothing was changed',
    hint: 'godwit list shows those there are',
    cause: last,
  });
}

/** 10,000,002 is 10.0.2. */
function versionOf(number: bigint): DomainEnds['qemuVersion'] {
  const version = Number(number);
  return {
    major: Math.floor(version / 1_000_000),
    minor: Math.floor(version / 1000) % 1000,
    micro: version % 1000,
  };
}

/** By the domain's type, as libvirt writes its own XML. */
function acceleratorOf(xml: string): DomainEnds['accelerator'] {
  const type = /^\s*<domain type='(\w+)'/.exec(xml)?.[1];
  return type === 'kvm' ? 'kvm' : type === 'qemu' ? 'tcg' : null;
}
