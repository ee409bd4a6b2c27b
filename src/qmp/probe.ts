/**
 * What this QEMU can do in a migration, asked of its schema instead of guessed from its version.
 * Not responsible for what is switched on now (machine.ts) or for choosing a way to migrate (the engine).
 */

import type { QmpClient, QmpGreeting } from './client.ts';
import { deviceListProperties, qomGet } from './commands-vm.ts';
import { isRefusal } from './errors.ts';
import { argumentsOfProcess } from './host.ts';
import { type QmpSchema, queryQmpSchema } from './schema.ts';

/** Whether QEMU's source waits for SWITCHOVER_ACK: sending one that is not owed fails the migration. */
export type AckOwed = 'yes' | 'no' | 'unknown';

export interface QemuFeatures {
  readonly version: QmpGreeting['version'];
  readonly package: string;
  readonly capabilities: ReadonlySet<string>;
  readonly parameters: ReadonlySet<string>;
  readonly commands: ReadonlySet<string>;
  readonly oobCommands: ReadonlySet<string>;
  readonly events: ReadonlySet<string>;
  /** query-migrate names what blocks a migration. */
  readonly hasBlockedReasons: boolean;
  /** With the capabilities `switchover-ack` and `return-path` on. */
  readonly ackOwed: AckOwed;
  /** Why `ackOwed` is what it is, for people. */
  readonly ackReason: string;
}

/** Asks one connection; costs about 0.25 MB and a few commands. */
export async function probeQemu(client: QmpClient): Promise<QemuFeatures> {
  const schema = await queryQmpSchema(client);
  const capabilities = capabilitiesOf(schema);
  const [ackOwed, ackReason] = await ackFacts(client, capabilities);
  return {
    version: client.greeting.version,
    package: client.greeting.package,
    capabilities,
    parameters: schema.argumentNames('migrate-set-parameters'),
    commands: schema.commands,
    oobCommands: schema.oobCommands,
    events: schema.events,
    hasBlockedReasons: schema.replyNames('query-migrate').has('blocked-reasons'),
    ackOwed,
    ackReason,
  };
}

export function capabilitiesOf(schema: QmpSchema): ReadonlySet<string> {
  return schema.wordsOfListArgument('migrate-set-capabilities', 'capabilities', 'capability');
}

const LEGACY_ACK = 'switchover-ack-legacy';

async function ackFacts(
  client: QmpClient,
  capabilities: ReadonlySet<string>,
): Promise<readonly [AckOwed, string]> {
  if (!capabilities.has('switchover-ack')) return ['no', 'this QEMU has no switchover-ack'];
  let properties: readonly string[];
  let machineType: unknown;
  try {
    properties = await deviceListProperties(client, 'migration');
    machineType = await qomGet(client, '/machine', 'type');
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return ['unknown', 'QEMU does not describe its migration object'];
  }
  const argv = properties.includes(LEGACY_ACK) ? await argumentsOfProcess(client) : null;
  return judgeAck({ properties, machineType: String(machineType), argv });
}

export interface AckEvidence {
  /** Properties of QEMU's `migration` device. */
  readonly properties: readonly string[];
  readonly machineType: string;
  /** QEMU's command line; null where it cannot be read. */
  readonly argv: readonly string[] | null;
}

/**
 * QEMU 11.1 asks its devices who needs the ack, unless switchover-ack-legacy is on: by `-global`, or by the
 * compatibility settings of machine types up to 11.0 (QEMU hw/core/machine.c, hw_compat_11_0; the effect
 * measured with 11.1.2, design notes).
 */
export function judgeAck(evidence: AckEvidence): readonly [AckOwed, string] {
  const { properties, machineType, argv } = evidence;
  if (!properties.includes(LEGACY_ACK)) return ['yes', 'this QEMU always waits for the ack'];
  const global = argv === null ? null : legacyAckGlobal(argv);
  if (global !== null)
    return [global ? 'yes' : 'no', `-global migration.${LEGACY_ACK}=${global ? 'on' : 'off'}`];
  if (argv === null) return ['unknown', `QEMU's command line cannot be read, it may set ${LEGACY_ACK}`];
  const version = /-(\d+)\.(\d+)(?:-machine)?$/.exec(machineType);
  if (version === null) return ['unknown', `machine type ${machineType} carries no version`];
  const isOld = Number(version[1]) < 11 || (Number(version[1]) === 11 && Number(version[2]) < 1);
  return isOld
    ? ['yes', `machine type ${machineType} keeps ${LEGACY_ACK} on`]
    : ['no', `machine type ${machineType} needs -global migration.${LEGACY_ACK}=on`];
}

/** The last `-global migration.switchover-ack-legacy=` of a command line; null without one. */
function legacyAckGlobal(argv: readonly string[]): boolean | null {
  let state: boolean | null = null;
  for (const [index, word] of argv.entries()) {
    if (word !== '-global' && word !== '--global') continue;
    const match = new RegExp(`^migration\\.${LEGACY_ACK}=(on|off|true|false|yes|no)$`).exec(
      argv[index + 1] ?? '',
    );
    if (match) state = ['on', 'true', 'yes'].includes(match[1] ?? '');
  }
  return state;
}
