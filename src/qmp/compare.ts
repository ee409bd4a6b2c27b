/**
 * The pre-flight comparison of source and destination: a pure function over two descriptions.
 * Not responsible for gathering them (machine.ts), nor for what a QEMU can do at all (probe.ts).
 */

import { compareDisks } from './compare-disks.ts';
import { compareHardware } from './compare-hardware.ts';
import { type Finding, finding, type Severity } from './findings.ts';
import type { MachineDescription } from './machine.ts';
import { compareSharedMemory } from './shared-memory.ts';

export interface CompareOptions {
  /**
   * Capabilities that the chosen strategy handles although they are refused by default (post-copy needs
   * `postcopy-ram`).
   */
  readonly handledCapabilities?: ReadonlySet<string>;
}

/** Every finding, the gravest first. The source may migrate when none of them is `refuse`. */
export function compareMachines(
  source: MachineDescription,
  destination: MachineDescription,
  options: CompareOptions = {},
): readonly Finding[] {
  const handled = options.handledCapabilities ?? new Set();
  const findings = [
    ...identity(source, destination),
    ...sourceState(source),
    ...destinationState(destination),
    ...settings('source', source, handled),
    ...settings('destination', destination, handled),
    ...compareHardware(source, destination),
    ...compareSharedMemory(source, destination),
    ...compareDisks(source, destination),
  ];
  const order: readonly Severity[] = ['refuse', 'warn', 'info'];
  return order.flatMap((severity) => findings.filter((one) => one.severity === severity));
}

export function refusals(findings: readonly Finding[]): readonly Finding[] {
  return findings.filter(({ severity }) => severity === 'refuse');
}

function* identity(source: MachineDescription, destination: MachineDescription): Generator<Finding> {
  if (source.pid !== null && source.pid === destination.pid) {
    const pid = String(source.pid);
    yield finding('refuse', 'SAME_MACHINE', 'source and destination are the same QEMU process', pid, pid);
  }
  for (const [end, machine] of [
    ['source', source],
    ['destination', destination],
  ] as const) {
    if (machine.libvirtReason === null) continue;
    const text = `libvirt runs the ${end}: ${machine.libvirtReason}; move it as libvirt:DOMAIN`;
    yield of(end, 'refuse', 'LIBVIRT_OWNED', text, machine.libvirtReason);
  }
  if (source.uuid !== destination.uuid) {
    yield finding('info', 'UUID', 'the VMs have different UUIDs', source.uuid, destination.uuid);
  }
}

/** Statuses in which QEMU has no migration under way. */
const AT_REST: ReadonlySet<string> = new Set(['none', 'completed', 'failed', 'cancelled']);

function* sourceState(source: MachineDescription): Generator<Finding> {
  const { status } = source.status;
  for (const reason of source.migration.blockedReasons) {
    yield finding('refuse', 'MIGRATION_BLOCKED', `QEMU refuses to migrate: ${reason}`, reason);
  }
  if (!AT_REST.has(source.migration.status)) {
    const text = `a migration of the source is under way (${source.migration.status})`;
    yield finding('refuse', 'MIGRATION_RUNNING', text, source.migration.status);
  }
  if (source.confidentialGuest !== null) {
    yield finding('refuse', 'CONFIDENTIAL_GUEST', 'guest memory is encrypted', source.confidentialGuest);
  }
  if (status === 'running') return;
  if (status === 'paused' || status === 'prelaunch') {
    yield finding('info', 'SOURCE_STATE', 'the source is paused and will arrive paused', status);
  } else {
    const why: Readonly<Record<string, string>> = {
      inmigrate: 'it waits for an incoming migration itself',
      postmigrate: 'it has been migrated away; continuing it may harm its disks',
      suspended: 'the guest sleeps; wake it first',
      shutdown: 'the guest has shut down',
      'guest-panicked': 'the guest has panicked',
      'io-error': 'it stopped at a disk error; continue it first',
    };
    const text = `the source is neither running nor paused: ${why[status] ?? status}`;
    yield finding('refuse', 'SOURCE_STATE', text, status);
  }
}

function* destinationState(destination: MachineDescription): Generator<Finding> {
  const { status } = destination.status;
  if (status !== 'inmigrate') {
    const text = 'the destination does not wait for a migration; start it with -incoming defer';
    yield of('destination', 'refuse', 'DESTINATION_STATE', text, status);
    return;
  }
  const { listeningAt } = destination.migration;
  if (listeningAt.length > 0) {
    const text =
      'the destination listens already, so it cannot be told where to listen for godwit; start it with -incoming defer';
    yield of('destination', 'refuse', 'DESTINATION_LISTENING', text, listeningAt.join(' '));
  } else if (!AT_REST.has(destination.migration.status)) {
    const text = `a migration into the destination is under way (${destination.migration.status})`;
    yield of('destination', 'refuse', 'MIGRATION_RUNNING', text, destination.migration.status);
  }
}

/** What changes the stream into one that the gateway does not read, or sends it elsewhere. */
const UNHANDLED_CAPABILITIES = [
  'multifd',
  'xbzrle',
  'compress',
  'rdma-pin-all',
  'x-colo',
  'block',
  'postcopy-ram',
  'x-ignore-shared',
  'background-snapshot',
  'zero-copy-send',
  'mapped-ram',
] as const;

/** Legal, but they slow the guest or change what is measured. */
const DOUBTFUL_CAPABILITIES = [
  'auto-converge',
  'dirty-limit',
  'release-ram',
  'pause-before-switchover',
] as const;

function* settings(
  end: 'source' | 'destination',
  machine: MachineDescription,
  handled: ReadonlySet<string>,
): Generator<Finding> {
  for (const name of UNHANDLED_CAPABILITIES) {
    if (machine.capabilities.get(name) !== true || handled.has(name)) continue;
    const text = `capability ${name} is on at the ${end} and the gateway cannot read such a stream; switch it off`;
    yield of(end, 'refuse', 'CAPABILITY_ON', text, name);
  }
  for (const name of DOUBTFUL_CAPABILITIES) {
    if (end === 'destination' || machine.capabilities.get(name) !== true || handled.has(name)) continue;
    yield of(end, 'warn', 'CAPABILITY_ON', `capability ${name} is on at the ${end}`, name);
  }
  const credentials = machine.parameters.get('tls-creds');
  if (typeof credentials === 'string' && credentials !== '') {
    const text = `QEMU encrypts the stream at the ${end} (tls-creds), so the gateway cannot read it`;
    yield of(end, 'refuse', 'PARAMETER_SET', text, `tls-creds=${credentials}`);
  }
  const mode = machine.parameters.get('mode');
  if (mode !== undefined && mode !== 'normal') {
    yield of(
      end,
      'refuse',
      'PARAMETER_SET',
      `migration mode ${mode} is not a live migration`,
      `mode=${mode}`,
    );
  }
  if (end === 'source' && machine.suppressesDescription === true) {
    const text = 'the machine leaves out the description at the end of the stream, by which its end is found';
    yield of(end, 'refuse', 'DESCRIPTION_SUPPRESSED', text, 'suppress-vmdesc=on');
  }
}

function of(
  end: 'source' | 'destination',
  severity: Severity,
  code: Finding['code'],
  text: string,
  value: string,
): Finding {
  return end === 'source'
    ? finding(severity, code, text, value, null)
    : finding(severity, code, text, null, value);
}
