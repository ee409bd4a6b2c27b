/**
 * Gathers what has to agree between the two ends of a migration. Not responsible for judging it (compare.ts).
 * Only reads; costs about twenty commands.
 */

import { z } from 'zod';
import type { QmpClient } from './client.ts';
import {
  type MigrationInfo,
  type ParameterValue,
  queryMigrate,
  queryMigrateCapabilities,
  queryMigrateParameters,
} from './commands-migration.ts';
import {
  type BlockJob,
  humanMonitorCommand,
  qomGet,
  qomList,
  queryBitmapBits,
  queryBlock,
  queryBlockJobs,
  queryChardev,
  queryCpusFast,
  queryKvm,
  queryName,
  queryStatus,
  queryUuid,
  type VmCpu,
  type VmStatus,
} from './commands-vm.ts';
import { isRefusal } from './errors.ts';
import { fileIdentity, type HostProcess, hostProcess } from './host.ts';
import { libvirtReason } from './libvirt.ts';
import { parseDeviceTree, parseRamBlocks, type RamBlockFacts } from './monitor-text.ts';
import { type PciFunction, queryPci } from './pci.ts';
import { gatherSharedMemory, type SharedMemory } from './shared-memory.ts';

export interface DiskFacts {
  /** The guest device (QOM path) or the drive's name. */
  readonly id: string;
  readonly file: string;
  readonly driver: string;
  readonly readOnly: boolean;
  /** See BlockMedium. */
  readonly volatileBitmaps: readonly string[];
  /** Device and inode; null where this host cannot see the file. */
  readonly identity: string | null;
}

export interface CpuFacts {
  /** "qemu64", "Haswell", "host"; null without a vCPU. */
  readonly model: string | null;
  readonly count: number;
  /** One text per vCPU, in order. */
  readonly topology: readonly string[];
  /** CPUID register -> feature bits as the guest sees them; null where QEMU does not tell (not x86). */
  readonly featureWords: ReadonlyMap<string, number> | null;
  /** The CPU property of that name; null where the model has none. */
  readonly migratable: boolean | null;
}

/** Everything is as QEMU says it; null means that QEMU would not say. */
export interface MachineDescription {
  readonly qmpPath: string;
  readonly pid: number | null;
  /** Of its first vCPU, as its own host counts; null without one. */
  readonly threadId: number | null;
  readonly name: string | null;
  readonly uuid: string;
  readonly version: { readonly major: number; readonly minor: number; readonly micro: number };
  readonly machineType: string;
  /** TCG is what a Linux QEMU without KVM runs; Xen and others are not told apart from it. */
  readonly accelerator: 'kvm' | 'tcg';
  readonly status: VmStatus;
  readonly migration: MigrationInfo;
  readonly capabilities: ReadonlyMap<string, boolean>;
  readonly parameters: ReadonlyMap<string, ParameterValue>;
  readonly cpu: CpuFacts;
  readonly ramBlocks: readonly RamBlockFacts[] | null;
  readonly sharedMemory: SharedMemory;
  readonly pci: readonly PciFunction[] | null;
  readonly devices: readonly string[] | null;
  readonly disks: readonly DiskFacts[];
  /** Removable drives with nothing in them. */
  readonly emptyDrives: readonly string[];
  readonly blockJobs: readonly BlockJob[];
  /** Of dirty bitmaps that the capability of that name takes along; 0 with the capability off. */
  readonly bitmapBits: number;
  /** Null when libvirt does not run this VM. */
  readonly libvirtReason: string | null;
  /** QOM path of the guard of an encrypted guest; null without one. */
  readonly confidentialGuest: string | null;
  /** True when the stream will end without a description, which the gateway needs. */
  readonly suppressesDescription: boolean | null;
}

export interface GatherOptions {
  /**
   * It runs on another host: numbers of its threads and names of its files mean nothing here. Default false.
   */
  readonly elsewhere?: boolean;
  /** Its QMP socket as its own host names it. Default: the path that was connected to. */
  readonly qmpPath?: string;
}

/** Errors: those of execute, except that a command that this QEMU refuses leaves its fact null. */
export async function gatherMachine(
  client: QmpClient,
  options: GatherOptions = {},
): Promise<MachineDescription> {
  const owner = options.elsewhere === true ? null : await hostProcess(client);
  const qmpPath = options.qmpPath ?? client.path;
  const evidence = {
    qmpPath,
    chardevs: await queryChardev(client),
    objects: await qomList(client, '/objects'),
  };
  const cpus = await queryCpusFast(client);
  const capabilities = await queryMigrateCapabilities(client);
  const machineType = await qomGet(client, '/machine', 'type');
  const guard = await orNull(qomGet(client, '/machine', 'confidential-guest-support'));
  const suppresses = await orNull(qomGet(client, '/machine', 'suppress-vmdesc'));
  const ramText = await orNull(humanMonitorCommand(client, 'info ramblock'));
  const treeText = await orNull(humanMonitorCommand(client, 'info qtree'));
  return {
    qmpPath,
    pid: owner?.pid ?? null,
    threadId: cpus[0]?.threadId ?? null,
    name: await queryName(client),
    uuid: await queryUuid(client),
    version: client.greeting.version,
    machineType: String(machineType).replace(/-machine$/, ''),
    accelerator: (await queryKvm(client)).enabled ? 'kvm' : 'tcg',
    status: await queryStatus(client),
    migration: await queryMigrate(client),
    capabilities,
    parameters: await queryMigrateParameters(client),
    cpu: await gatherCpu(client, cpus),
    ramBlocks: ramText === null ? null : parseRamBlocks(ramText),
    sharedMemory: await gatherSharedMemory(client, options.elsewhere === true),
    pci: await orNull(queryPci(client)),
    devices: treeText === null ? null : parseDeviceTree(treeText),
    ...(await gatherDisks(client, owner)),
    blockJobs: (await orNull(queryBlockJobs(client))) ?? [],
    bitmapBits: capabilities.get('dirty-bitmaps') === true ? await queryBitmapBits(client) : 0,
    libvirtReason: libvirtReason(evidence),
    confidentialGuest: typeof guard === 'string' && guard !== '' ? guard : null,
    suppressesDescription: typeof suppresses === 'boolean' ? suppresses : null,
  };
}

async function orNull<T>(answer: Promise<T>): Promise<T | null> {
  try {
    return await answer;
  } catch (error) {
    if (isRefusal(error)) return null;
    throw error;
  }
}

const featureWordsSchema = z.array(
  z.object({
    'cpuid-input-eax': z.number(),
    'cpuid-input-ecx': z.number().optional(),
    'cpuid-register': z.string(),
    features: z.number(),
  }),
);

async function gatherCpu(client: QmpClient, cpus: readonly VmCpu[]): Promise<CpuFacts> {
  const first = cpus[0];
  const topology = cpus.map((cpu) => JSON.stringify(Object.entries(cpu.topology).sort()));
  if (!first) return { model: null, count: 0, topology, featureWords: null, migratable: null };
  const type = await qomGet(client, first.qomPath, 'type');
  const words = await orNull(qomGet(client, first.qomPath, 'feature-words'));
  const migratable = await orNull(qomGet(client, first.qomPath, 'migratable'));
  return {
    model: String(type).replace(/-[a-z0-9_]+-cpu$/, ''),
    count: cpus.length,
    topology,
    featureWords: words === null ? null : featureWordsOf(words),
    migratable: typeof migratable === 'boolean' ? migratable : null,
  };
}

/** QEMU lists one register twice where it keeps two words of it (eax 13): those bits are joined. */
function featureWordsOf(value: unknown): ReadonlyMap<string, number> | null {
  const parsed = featureWordsSchema.safeParse(value);
  if (!parsed.success) return null;
  const words = new Map<string, number>();
  for (const word of parsed.data) {
    const key = `${word['cpuid-input-eax'].toString(16)}.${word['cpuid-input-ecx'] ?? 0}.${word['cpuid-register']}`;
    words.set(key, ((words.get(key) ?? 0) | word.features) >>> 0);
  }
  return words;
}

async function gatherDisks(
  client: QmpClient,
  owner: HostProcess | null,
): Promise<Pick<MachineDescription, 'disks' | 'emptyDrives'>> {
  const disks: DiskFacts[] = [];
  const emptyDrives: string[] = [];
  for (const { id, inserted } of await queryBlock(client)) {
    if (inserted === null) emptyDrives.push(id);
    else disks.push({ id, ...inserted, identity: await fileIdentity(inserted.file, owner) });
  }
  return { disks, emptyDrives };
}
