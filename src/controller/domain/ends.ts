/** Both daemons and the domain, before anything is changed. Not responsible for the migration. */

import { errorMessage, GodwitError } from '../../base/index.ts';
import {
  connectGetLibVersion,
  connectGetVersion,
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
} from '../../libvirt/index.ts';
import { Daemon, type Endpoint } from '../../machines/index.ts';
import type { MigrateDomainOptions } from './options.ts';

/** 11,003,000: the first that was tried and sets QEMU's switchover-ack; 10.0 does not. */
const ACK_SINCE = 11_003_000;

export interface DomainEnds {
  readonly source: LibvirtClient;
  readonly destination: LibvirtClient;
  readonly domain: DomainRef;
  readonly persistent: boolean;
  readonly memoryBytes: number;
  /** "11.3.0", of the source. */
  readonly libvirtVersion: string;
  readonly qemuVersion: { readonly major: number; readonly minor: number; readonly micro: number };
  /** null: libvirt names another. */
  readonly accelerator: 'kvm' | 'tcg' | null;
  readonly ackGate: boolean;
  /** Either daemon, over whichever connection there is. */
  readonly daemons: { readonly source: Daemon; readonly destination: Daemon };
  close(): Promise<void>;
}

/** Errors: those of connecting; DOMAIN_NOT_FOUND, DOMAIN_STATE, DOMAIN_EXISTS. */
export async function openEnds(options: MigrateDomainOptions, signal: AbortSignal): Promise<DomainEnds> {
  const daemons = {
    source: new Daemon({ uri: options.sourceUri, reach: null }),
    destination: new Daemon(options.destination),
  };
  const close = async () => {
    await Promise.all([daemons.source.close(), daemons.destination.close()]);
  };
  try {
    const source = await daemons.source.client(signal);
    const destination = await daemons.destination.client(signal);
    const domain = await findDomain(source, options.domain);
    const found = await lookAtDomain(source, domain.uuid);
    const state = found?.state.state ?? 'gone';
    if (state !== 'running') {
      throw new GodwitError('DOMAIN_STATE', `the domain ${domain.name} is ${state}`, {
        safe: 'nothing was changed',
        hint: 'only a domain that runs is moved live; one that is paused writes nothing, and virsh migrate moves it',
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
      memoryBytes: Number(maxMemory) * 1024,
      libvirtVersion: Object.values(versionOf(version)).join('.'),
      qemuVersion: versionOf((await source.call(connectGetVersion, {})).version),
      accelerator: acceleratorOf((await source.call(domainGetXmlDesc, { domain, flags: 0 })).xml),
      ackGate: Number(version) >= ACK_SINCE,
      daemons,
      close,
    };
  } catch (error) {
    await close();
    throw error;
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

/** Both ends as a journal names them. */
export function domainEndpoints(
  { sourceUri, destination }: MigrateDomainOptions,
  { domain: { name, uuid }, persistent }: Pick<DomainEnds, 'domain' | 'persistent'>,
): { readonly source: Endpoint; readonly destination: Endpoint } {
  const domain = { name, uuid, persistent };
  const { reach } = destination;
  const far = reach === null ? null : { command: [...reach.command], host: reach.host, linkTimeoutMs: 0 };
  return {
    source: { libvirt: sourceUri, domain, reach: null },
    destination: { libvirt: destination.uri, domain, reach: far },
  };
}
