/**
 * What `godwit migrate` can be asked for, read and checked before anything is touched. Defaults:
 * MIGRATE_DEFAULTS.
 */

import type { Command } from 'commander';
import { formatBytes, GodwitError, MIB, parseDurationMs, parseRate, parseSize } from '../../base/index.ts';
import {
  FORCEABLE,
  INCOMING_FOLDER,
  MIGRATE_DEFAULTS,
  type MigrateOptions,
  parseQmpEndpoint,
  readForce,
} from '../../controller/index.ts';
import { stateDirectory } from '../../recovery/index.ts';
import { readParameters, strategyByName } from '../../strategy/index.ts';
import type { Limits } from '../../vm/index.ts';
import type { CommandOptions } from '../command.ts';
import { declareFarOptions, readDestination } from './far.ts';
import { readStart } from './start.ts';

const DEFAULTS = MIGRATE_DEFAULTS;

export function declareOptions(command: Command): void {
  command
    .argument(
      '<source>',
      'the QEMU whose VM is to move, as qmp:/path/of/its/qmp.sock; or libvirt:DOMAIN (libvirt:///DOMAIN?uri=URI)',
    )
    .argument(
      '<destination>',
      'the QEMU that waits for it (-incoming defer), or that --start starts, written likewise or as ssh://[user@]HOST[:PORT]/path/of/its/qmp.sock; or tls://HOST:PORT (tcp:// with --insecure) of a godwit receive there; for a domain, the libvirt it goes to: qemu+ssh://[user@]HOST[:PORT]/system',
    )
    .option(
      '--start',
      'start the destination QEMU there, as the source is now; its QMP socket is <destination>',
    )
    .option(
      '--map <old=new>',
      'with --start: a file, folder, port or host device has another name there; repeatable',
      collect,
      [],
    )
    .option('--strategy <name>', 'how to migrate (godwit strategies lists them)', DEFAULTS.strategy)
    .option('--param <name=value>', "one of the strategy's parameters; repeatable", collect, [])
    .option('--downtime-limit <time>', 'how long the VM may stand still', `${DEFAULTS.downtimeMsMax}ms`)
    .option(
      '--timeout <time>',
      'stop the VM or give up after this time, as --on-timeout says (default: no limit)',
    )
    .option(
      '--strict',
      'do not stop the VM where that is foretold to last longer than --downtime-limit: --on-timeout says what is done instead',
    )
    .option(
      '--max-downtime <time>',
      'as --strict, with a bound of its own (default: a stop takes what it takes)',
    )
    .option(
      '--on-timeout <cancel|switch|post-copy>',
      `what is done once --timeout has passed (default: ${DEFAULTS.onTimeout}; cancel with --strict or --max-downtime)`,
    )
    .option('--bandwidth <rate>', 'cap on the link until the VM is stopped (default: what it carries)')
    .option('--link-rate <rate>', 'what the link is taken to carry until it has been measured')
    .option(
      '--gateway-memory <size>',
      'cap on what the gateway holds',
      formatBytes(DEFAULTS.gatewayMemoryBytesMax),
    )
    .option(
      '--source-after <keep|quit>',
      'what becomes of the source QEMU after the move: it is kept, paused for ever, or ended',
      DEFAULTS.sourceAfter,
    )
    .option(
      '--destination-address <host:port>',
      'where the destination QEMU listens if it is on another host (over TLS; its QMP socket has a path here)',
    )
    .option('--insecure', 'allow guest memory to cross a network in clear')
    .option(
      '--ack-gate <auto|off>',
      "off: do not use QEMU's switchover-ack to hold the switchover back",
      'auto',
    )
    .option('--force <code>', `override a refusal: ${[...FORCEABLE].join(', ')}; repeatable`, collect, []);
  declareTelling(command);
  declareDomainOptions(command);
  declareFarOptions(command);
}

/** What is shown, written down and run besides the move. */
function declareTelling(command: Command): void {
  command
    .option('--dry-run', 'check both ends, say what would be done, and change nothing')
    .option('--report <file>', 'write the report (JSON) to this file too')
    .option(
      '--on-end <command>',
      'run this command once the migration has ended, whoever ends it (GODWIT_OUTCOME says how it ended)',
    )
    .option(
      '--record <file>',
      'write which pages were dirtied when (a trace for godwit simulate) to this file',
    )
    .option(
      '--json',
      'print the report as one JSON object on standard output, and progress on standard error',
    );
}

function declareDomainOptions(command: Command): void {
  command
    .option(
      '--unsafe',
      'libvirt domains: move the domain although libvirt calls its disks unsafe for a move; you answer for them',
    )
    .option(
      '--incoming-folder <path>',
      `libvirt domains: where the destination's QEMU makes its socket (default: ${INCOMING_FOLDER})`,
    );
}

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

const GATEWAY_MEMORY_BYTES_MIN = 16 * MIB;
const DOWNTIME_MS_MAX = 600_000;

/** Errors: USAGE_*, STRATEGY_UNKNOWN, PARAMETER_UNKNOWN, PARAMETER_RANGE. */
export function readMigrateOptions(
  [source, destination]: readonly string[],
  options: CommandOptions,
): MigrateOptions {
  if (source === destination) {
    throw new GodwitError('USAGE_ENDPOINT', 'source and destination are the same QMP socket', {
      safe: 'nothing was started or changed',
      hint: 'the destination is a second QEMU, started like the first one with -incoming defer',
    });
  }
  const sourceQmpPath = parseQmpEndpoint(source ?? '');
  return {
    ...readSharedOptions(options),
    sourceQmpPath,
    start: readStart(options),
    ...readDestination(destination ?? '', sourceQmpPath, options),
  };
}

/** What does not depend on who controls the VM. */
export function readSharedOptions(
  options: CommandOptions,
): Omit<MigrateOptions, 'sourceQmpPath' | 'destinationQmpPath' | 'far'> {
  const strategy = strategyByName(text(options, 'strategy'));
  return {
    destinationAddress: readAddress(options),
    insecure: options['insecure'] === true,
    strategy,
    parameters: readParameters(strategy, options['param'] as string[]),
    limits: readLimits(options),
    bandwidthBytesPerSecondMax: readRate('--bandwidth', options['bandwidth']),
    linkBytesPerSecond: readRate('--link-rate', options['linkRate']),
    gatewayMemoryBytesMax: inRange(
      '--gateway-memory',
      parseSize(text(options, 'gatewayMemory')),
      GATEWAY_MEMORY_BYTES_MIN,
      Number.MAX_SAFE_INTEGER,
      `at least ${formatBytes(GATEWAY_MEMORY_BYTES_MIN)}`,
    ),
    sourceAfter: oneOf('--source-after', text(options, 'sourceAfter'), ['keep', 'quit']),
    ackGate: oneOf('--ack-gate', text(options, 'ackGate'), ['auto', 'off']),
    force: readForce(options['force'] as string[]),
    stateDirectory: stateDirectory(),
    onEnd: (options['onEnd'] as string | undefined) ?? null,
    recordPath: options['record'] === undefined ? null : String(options['record']),
  };
}

function readLimits(options: CommandOptions): Limits {
  const { timeout, strict, maxDowntime, onTimeout } = options;
  const downtimeMsMax = readDowntime('--downtime-limit', text(options, 'downtimeLimit'));
  if (strict === true && maxDowntime !== undefined) {
    throw usage(
      '--strict and --max-downtime exclude each other',
      '--strict bounds a stop by --downtime-limit',
    );
  }
  const boundMs = maxDowntime === undefined ? null : readDowntime('--max-downtime', String(maxDowntime));
  if (boundMs !== null && boundMs < downtimeMsMax) {
    throw usage('--max-downtime is below --downtime-limit', 'give --downtime-limit too, or use --strict');
  }
  const bound = strict === true ? 'limit' : boundMs;
  // Whoever bounds a stop would rather have no move than a longer one.
  const byDefault = bound === null ? DEFAULTS.onTimeout : 'cancel';
  return {
    downtimeMsMax,
    ...(bound === null ? {} : { downtimeMsBound: bound }),
    timeoutMs: timeout === undefined ? null : parseDurationMs(String(timeout)),
    onTimeout: oneOf('--on-timeout', String(onTimeout ?? byDefault), ['cancel', 'switch', 'post-copy']),
  };
}

function readDowntime(name: string, value: string): number {
  return inRange(name, parseDurationMs(value), 1, DOWNTIME_MS_MAX, 'from 1ms to 10m');
}

function readAddress(options: CommandOptions): MigrateOptions['destinationAddress'] {
  const address = options['destinationAddress'];
  if (address === undefined) return null;
  const match = /^(?:\[[0-9a-fA-F:.]+\]|[^:[\]]+):(\d{1,5})$/.exec(String(address));
  if (!match || Number(match[1]) < 1 || Number(match[1]) > 65_535) {
    throw usage(`"${String(address)}" is no HOST:PORT`, 'write it like host2:4444 or [fd00::2]:4444');
  }
  return { listen: String(address), connect: String(address) };
}

function readRate(name: string, value: unknown): number | null {
  if (value === undefined) return null;
  return inRange(name, parseRate(String(value)), 1, Number.MAX_SAFE_INTEGER, 'at least one byte a second');
}

function text(options: CommandOptions, name: string): string {
  return String(options[name] ?? '');
}

function oneOf<Word extends string>(name: string, value: string, allowed: readonly Word[]): Word {
  const found = allowed.find((word) => word === value);
  if (found !== undefined) return found;
  throw usage(`${name} "${value}" is not known`, `one of: ${allowed.join(', ')}`);
}

function inRange(name: string, value: number, least: number, most: number, range: string): number {
  if (value >= least && value <= most) return value;
  throw usage(`${name} is out of range`, range);
}

function usage(message: string, hint: string): GodwitError {
  return new GodwitError('USAGE_VALUE', message, { safe: 'nothing was started or changed', hint });
}
