/**
 * What is checked before a migration touches anything: both ends compared (src/qmp), what the gateway
 * needs, which gate there is. The same for `--dry-run` and for every real migration. It only reads. Not
 * responsible for showing it.
 */

import { formatBytes, GodwitError } from '../../base/index.ts';
import { PageStore } from '../../pages/index.ts';
import {
  compareMachines,
  type Finding,
  type FindingCode,
  gatherMachine,
  type MachineDescription,
  type ParameterValue,
  probeQemu,
  type QemuFeatures,
  type QmpClient,
  queryQmpSchema,
} from '../../qmp/index.ts';
import type { AnyStrategy } from '../../strategy/index.ts';
import { type Limits, type Mechanism, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { farGateway, type MigrateOptions, storeBytesMax } from '../options.ts';
import { findSocketPlaces, type SocketPlaces, type SocketsAsked } from '../sockets.ts';
import {
  mechanismCapabilities,
  mechanismOf,
  type SettingChange,
  sharedCapabilities,
  sourceSettings,
} from './settings.ts';

export type PreflightCode =
  | FindingCode
  | 'STRATEGY_MECHANISM'
  | 'POST_COPY'
  | 'GATEWAY_MEMORY'
  | 'RETURN_PATH'
  | 'SOCKET_FOLDER'
  | 'FAR_SIDE'
  | 'COMMAND_LINE'
  | 'GATE';

export interface PreflightFinding extends Omit<Finding, 'code'> {
  readonly code: PreflightCode;
  /** A refusal that the operator has overridden. */
  readonly forced: boolean;
}

/**
 * Refusals that an operator who knows better may override: judgements about what the guest will bear, and
 * comparisons that QEMU makes again when it loads, with the source still able to go on. What godwit cannot do
 * at all is not here.
 */
export const FORCEABLE: ReadonlySet<PreflightCode> = new Set([
  'ACCELERATOR',
  'CPU_MODEL',
  'CPU_COUNT',
  'CPU_FEATURES',
  'RAM_BLOCKS',
  'PCI_DEVICE',
  'DEVICES',
  'DISK_NOT_SHARED',
  'DISK_FORMAT',
  'BLOCK_JOB',
]);

export interface PreflightOptions {
  readonly strategy: AnyStrategy;
  readonly limits?: Pick<Limits, 'onTimeout'>;
  readonly gatewayMemoryBytesMax: number;
  readonly ackGate: 'auto' | 'off';
  readonly force: readonly string[];
  readonly far?: MigrateOptions['far'];
}

/**
 * Who holds the switchover back: the acknowledgement that QEMU waits for, or the end of a pass
 * that is not read.
 */
export interface Gate {
  readonly kind: 'ack' | 'what-waits';
  readonly why: string;
}

export interface Preflight {
  /** The gravest first. */
  readonly findings: readonly PreflightFinding[];
  readonly source: MachineDescription;
  readonly destination: MachineDescription;
  readonly features: QemuFeatures;
  readonly gate: Gate;
  readonly settings: readonly SettingChange[];
  readonly memory: GatewayMemory;
  /** The destination can keep its QEMU alive after a failed load, and so say why it failed. */
  readonly destinationTellsWhy: boolean;
  /** Where each QEMU of this host can meet this process. */
  readonly sockets: SocketPlaces;
}

export interface GatewayMemory {
  /** What is in the stream; null where QEMU does not list its RAM blocks. */
  readonly guestBytes: number | null;
  /** Bookkeeping and a first megabyte: less does not work. */
  readonly neededBytes: number | null;
  readonly allowedBytes: number;
}

export async function checkEnds(
  options: PreflightOptions & SocketsAsked,
  source: QmpClient,
  destination: QmpClient,
): Promise<Preflight> {
  const schema = await queryQmpSchema(destination);
  return judgeEnds(options, {
    source: await gatherMachine(source),
    destination: await gatherMachine(destination, {
      elsewhere: options.far?.reach.host != null,
      qmpPath: options.destinationQmpPath,
    }),
    features: await probeQemu(source),
    destinationTellsWhy: schema.argumentNames('migrate-incoming').has('exit-on-error'),
    freeBytes: process.availableMemory(),
    sockets: await findSocketPlaces(options, source, destination),
  });
}

type FactNames = 'source' | 'destination' | 'features' | 'destinationTellsWhy' | 'sockets';

export interface Ends extends Pick<Preflight, FactNames> {
  /** Memory that this host has left. */
  readonly freeBytes: number;
}

/** Pure. */
export function judgeEnds(options: PreflightOptions, ends: Ends): Preflight {
  const { source, destination, features, destinationTellsWhy, freeBytes, sockets } = ends;
  const gate = chooseGate(features, destination, options.ackGate);
  const memory = gatewayMemory(source, storeBytesMax({ ...options, far: options.far ?? null }));
  const findings = [
    ...compareMachines(source, destination, {
      handledCapabilities: mechanismCapabilities(mechanismOf(options)),
    }).map((one) => ({ ...one, forced: isForced(one, options.force) })),
    ...strategyFindings(options, source, destination),
    ...returnPathFindings(source, destination),
    ...socketFindings(sockets),
    ...bitmapFindings(source, features),
    ...memoryFindings(options.strategy, memory, freeBytes),
    ...gateFindings(gate),
  ];
  const order = ['refuse', 'warn', 'info'];
  return {
    findings: findings.sort((one, other) => order.indexOf(one.severity) - order.indexOf(other.severity)),
    source,
    destination,
    features,
    gate,
    settings: settingChanges(source, destination, features, gate, mechanismOf(options)),
    memory,
    destinationTellsWhy,
    sockets,
  };
}

/** What stops the migration. */
export function standing(findings: readonly PreflightFinding[]): readonly PreflightFinding[] {
  return findings.filter(({ severity, forced }) => severity === 'refuse' && !forced);
}

/** Errors: PREFLIGHT_REFUSED. */
export function refuseUnready(findings: readonly PreflightFinding[]): void {
  const reasons = standing(findings);
  if (reasons.length === 0) return;
  const codes = [...new Set(reasons.map(({ code }) => code))];
  const forceable = codes.every((code) => FORCEABLE.has(code));
  throw new GodwitError('PREFLIGHT_REFUSED', reasons.map(refusalText).join('; '), {
    safe: 'nothing was changed at either end; the source VM is as it was',
    hint: forceable
      ? `--dry-run shows all that was compared; if you know better: ${codes.map((code) => `--force ${code}`).join(' ')}`
      : '--dry-run shows all that was compared',
    fields: { codes: codes.join(',') },
  });
}

function refusalText({ code, text, source, destination }: PreflightFinding): string {
  const ends = [source && `source: ${source}`, destination && `destination: ${destination}`].filter(Boolean);
  return ends.length === 0 ? `${text} [${code}]` : `${text} (${ends.join(', ')}) [${code}]`;
}

/** Errors: USAGE_FORCE for a code that is no refusal or may not be overridden. */
export function readForce(codes: readonly string[]): readonly string[] {
  for (const code of codes) {
    if ((FORCEABLE as ReadonlySet<string>).has(code)) continue;
    throw new GodwitError('USAGE_FORCE', `--force ${code} is not possible`, {
      safe: 'nothing was started or changed',
      hint: `these refusals can be overridden: ${[...FORCEABLE].join(', ')}`,
    });
  }
  return codes;
}

function isForced(one: Finding, force: readonly string[]): boolean {
  return one.severity === 'refuse' && FORCEABLE.has(one.code) && force.includes(one.code);
}

/**
 * The ack where QEMU owes one; else what waits is kept so small that a stop at any moment fits the limit.
 * Both ends must know the capability.
 */
function chooseGate(
  features: QemuFeatures,
  destination: Pick<MachineDescription, 'capabilities'>,
  wanted: 'auto' | 'off',
): Gate {
  if (wanted === 'off') return { kind: 'what-waits', why: 'the ack was switched off' };
  if (features.ackOwed !== 'yes') return { kind: 'what-waits', why: features.ackReason };
  if (!destination.capabilities.has('switchover-ack')) {
    return { kind: 'what-waits', why: 'the destination QEMU has no switchover-ack' };
  }
  return { kind: 'ack', why: features.ackReason };
}

/** A block that QEMU maps from a device's own memory is never in the stream. */
const NOT_IN_STREAM = / mmaps\[/;

function gatewayMemory(source: MachineDescription, allowedBytes: number): GatewayMemory {
  if (source.ramBlocks === null) return { guestBytes: null, neededBytes: null, allowedBytes };
  const guestBytes = source.ramBlocks
    .filter(({ id }) => !NOT_IN_STREAM.test(id))
    .reduce((sum, block) => sum + block.usedBytes, 0);
  const pageCount = Math.ceil(guestBytes / PAGE_SIZE_BYTES);
  return { guestBytes, neededBytes: PageStore.memoryBytesMin(pageCount), allowedBytes };
}

function* strategyFindings(
  options: PreflightOptions,
  source: MachineDescription,
  destination: MachineDescription,
): Generator<PreflightFinding> {
  const { name, simulatorOnly } = options.strategy;
  if (simulatorOnly !== null) {
    yield own('refuse', 'STRATEGY_MECHANISM', `strategy ${name} is for the simulator only: ${simulatorOnly}`);
  }
  const mechanism = mechanismOf(options);
  const who = mechanism === options.strategy.mechanism ? `strategy ${name}` : '--on-timeout post-copy';
  for (const [end, machine] of Object.entries({ source, destination })) {
    for (const capability of mechanismCapabilities(mechanism)) {
      if (machine.capabilities.has(capability)) continue;
      yield own('refuse', 'STRATEGY_MECHANISM', `${who}: the ${end} QEMU has no ${capability}`);
    }
  }
  if (mechanism !== 'qemu-postcopy') return;
  yield* postCopyFindings(who, options, source, destination);
}

function* postCopyFindings(
  who: string,
  { strategy, far }: PreflightOptions,
  source: MachineDescription,
  destination: MachineDescription,
): Generator<PreflightFinding> {
  if (strategy.mechanism === 'qemu-auto-converge') {
    const text = `${who}: not with strategy ${strategy.name}, which has QEMU slow the guest instead`;
    yield own('refuse', 'STRATEGY_MECHANISM', text);
  }
  if (farGateway(far) !== null) {
    const text = `${who}: post-copy runs without a gateway at the far side (qmp: or --no-far-gateway)`;
    yield own('refuse', 'STRATEGY_MECHANISM', text);
  }
  if (source.capabilities.get('dirty-bitmaps') === true) {
    const text = `${who}: in post-copy dirty bitmaps follow the VM, and only pre-copy carries them here`;
    yield own('refuse', 'STRATEGY_MECHANISM', text);
  }
  for (const block of source.ramBlocks ?? []) {
    const twin = destination.ramBlocks?.find(({ id }) => id === block.id);
    if (twin === undefined || twin.pageSize === block.pageSize) continue;
    const text = `${who}: post-copy places whole pages, and those of RAM block ${block.id} have ${block.pageSize} here and ${twin.pageSize} there`;
    yield own('refuse', 'STRATEGY_MECHANISM', text);
  }
  const text =
    'post-copy: the VM starts at the destination before its memory is there; a failure in that phase loses it';
  yield own('warn', 'POST_COPY', text);
}

function* returnPathFindings(
  source: MachineDescription,
  destination: MachineDescription,
): Generator<PreflightFinding> {
  for (const [end, machine] of Object.entries({ source, destination })) {
    if (machine.capabilities.has('return-path')) continue;
    yield own(
      'refuse',
      'RETURN_PATH',
      `the ${end} QEMU has no return path, so nothing proves that it loaded`,
    );
  }
}

/** See sourceSettings: without that parameter (8.2+) QEMU's final stage does not come. */
function* bitmapFindings(
  { bitmapBits }: MachineDescription,
  { parameters }: QemuFeatures,
): Generator<PreflightFinding> {
  if (bitmapBits === 0 || parameters.has('avail-switchover-bandwidth')) return;
  const text =
    'this QEMU carries dirty bitmaps only where its downtime limit is large; switch the capability dirty-bitmaps off';
  yield own('refuse', 'CAPABILITY_ON', text);
}

function* socketFindings(sockets: SocketPlaces): Generator<PreflightFinding> {
  for (const [end, place] of Object.entries(sockets)) {
    if (place === null || !('refusal' in place)) continue;
    yield own('refuse', 'SOCKET_FOLDER', `the ${end} cannot be given a socket: ${place.refusal}`);
  }
}

function* memoryFindings(
  strategy: AnyStrategy,
  { guestBytes, neededBytes, allowedBytes }: GatewayMemory,
  freeBytes: number,
): Generator<PreflightFinding> {
  if (neededBytes !== null && neededBytes > allowedBytes) {
    const sizes = `${formatBytes(neededBytes)} needed, ${formatBytes(allowedBytes)} allowed`;
    yield own('refuse', 'GATEWAY_MEMORY', `this guest needs more --gateway-memory: ${sizes}`);
  }
  const useful = Math.min(allowedBytes, guestBytes ?? allowedBytes);
  if (strategy.absorb && useful > freeBytes) {
    const sizes = `up to ${formatBytes(useful)}, ${formatBytes(freeBytes)} free`;
    yield own('warn', 'GATEWAY_MEMORY', `the gateway may use more memory than this host has free: ${sizes}`);
  }
}

function* gateFindings(gate: Gate): Generator<PreflightFinding> {
  if (gate.kind === 'ack') return;
  const text = `without switchover-ack QEMU can stop a quiet guest by itself: no more waits or is held than fits the limit (${gate.why})`;
  yield own('info', 'GATE', text);
}

export function own(severity: Finding['severity'], code: PreflightCode, text: string): PreflightFinding {
  return { severity, code, text, source: null, destination: null, forced: false };
}

function settingChanges(
  source: MachineDescription,
  destination: MachineDescription,
  features: QemuFeatures,
  gate: Gate,
  mechanism: Mechanism,
): readonly SettingChange[] {
  const ackGate = gate.kind === 'ack';
  const { capabilities, parameters } = sourceSettings(features, ackGate, mechanism, source.bitmapBits);
  const changes = [
    ...changesAt('source', source.capabilities, capabilities),
    ...changesAt('source', source.parameters, parameters),
    ...changesAt('destination', destination.capabilities, sharedCapabilities(ackGate, mechanism)),
  ];
  return changes.filter(({ now, wanted }) => now !== wanted);
}

function changesAt(
  end: SettingChange['end'],
  now: ReadonlyMap<string, ParameterValue>,
  then: Readonly<Record<string, ParameterValue>>,
): SettingChange[] {
  return Object.entries(then).map(([name, value]) => ({
    end,
    name,
    now: now.get(name) ?? null,
    wanted: value,
  }));
}
