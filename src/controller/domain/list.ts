/**
 * The VMs of this host: libvirt's, and those behind QMP sockets that somebody names. Asked once, nothing is
 * changed.
 */

import { errorMessage } from '../../base/index.ts';
import {
  connectLibvirt,
  connectListAllDomains,
  type DomainRef,
  domainGetInfo,
  domainGetJobInfo,
  JOB_TYPES,
  LIST,
  type LibvirtClient,
  lookAtDomain,
} from '../../libvirt/index.ts';
import { connectQmp, type QmpClient, queryName, queryStatus } from '../../qmp/index.ts';

export interface ListedVm {
  /** How `godwit migrate` is told of it. */
  readonly source: string;
  readonly name: string | null;
  readonly uuid: string | null;
  readonly state: string;
  /** Why it is in that state, where somebody says; else null. */
  readonly reason: string | null;
  /** null: it cannot be asked, or has ended meanwhile. */
  readonly memoryBytes: number | null;
  /** A job of libvirt's (a migration, a backup) is under way. */
  readonly hasJob: boolean;
}

export interface ListOptions {
  readonly libvirtUri: string;
  /** The URI was asked for; without that a host without libvirt is no error. */
  readonly libvirtIsAsked: boolean;
  readonly qmpPaths: readonly string[];
  readonly inactive: boolean;
  readonly runtimeFolder: string | null;
}

export interface Listing {
  readonly vms: readonly ListedVm[];
  /** What could not be asked, and why. */
  readonly errors: readonly string[];
}

export async function listVms(options: ListOptions): Promise<Listing> {
  const vms: ListedVm[] = [];
  const errors: string[] = [];
  try {
    vms.push(...(await listDomains(options)));
  } catch (error) {
    if (options.libvirtIsAsked || options.qmpPaths.length === 0) errors.push(errorMessage(error));
  }
  for (const path of options.qmpPaths) {
    try {
      vms.push(await lookAtQmp(path));
    } catch (error) {
      errors.push(errorMessage(error));
    }
  }
  return { vms, errors };
}

async function listDomains({ libvirtUri, inactive, runtimeFolder }: ListOptions): Promise<ListedVm[]> {
  const client = await connectLibvirt({ uri: libvirtUri, runtimeFolder });
  try {
    const flags = LIST.ACTIVE | (inactive ? LIST.INACTIVE : 0);
    const { domains } = await client.call(connectListAllDomains, { needResults: 1, flags });
    const rows = await Promise.all(domains.map((domain) => lookAt(client, domain, libvirtUri)));
    return rows.filter((row) => row !== null);
  } finally {
    await client.close();
  }
}

/** null: it has gone since the list was made. */
async function lookAt(
  client: LibvirtClient,
  { name, uuid }: DomainRef,
  uri: string,
): Promise<ListedVm | null> {
  const found = await lookAtDomain(client, uuid);
  if (found === null) return null;
  const { ref, state } = found;
  const info = await client.call(domainGetInfo, { domain: ref }).catch(() => null);
  // Only a domain that runs has jobs.
  const job = ref.id < 0 ? null : await client.call(domainGetJobInfo, { domain: ref }).catch(() => null);
  const type = JOB_TYPES[job?.type ?? 0];
  return {
    source:
      uri === 'qemu:///system' ? `libvirt:${name}` : `libvirt:///${encodeURIComponent(name)}?uri=${uri}`,
    name,
    uuid,
    state: state.state,
    reason: state.reason,
    memoryBytes: info === null ? null : Number(info.maxMemory) * 1024,
    hasJob: type === 'bounded' || type === 'unbounded',
  };
}

async function lookAtQmp(path: string): Promise<ListedVm> {
  const qemu = await connectQmp({ path });
  try {
    const { status } = await queryStatus(qemu);
    return {
      source: `qmp:${path}`,
      name: await queryName(qemu).catch(() => null),
      uuid: null,
      state: status,
      reason: null,
      memoryBytes: await queryMemoryBytes(qemu),
      hasJob: false,
    };
  } finally {
    await qemu.close();
  }
}

async function queryMemoryBytes(qemu: QmpClient): Promise<number | null> {
  const summary = (await qemu.execute('query-memory-size-summary').catch(() => null)) as {
    'base-memory'?: unknown;
    'plugged-memory'?: unknown;
  } | null;
  const base = summary?.['base-memory'];
  const plugged = summary?.['plugged-memory'] ?? 0;
  return typeof base === 'number' && typeof plugged === 'number' ? base + plugged : null;
}
