/**
 * godwit's own controller as a Migrator of the lab: what a plan or a demo runs beside plain QEMU.
 * Not responsible for measuring or judging the move (move.ts, checks.ts).
 */

import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import {
  defaultWorkers,
  FAR_DEFAULTS,
  type FarOptions,
  MIGRATE_DEFAULTS,
  type MigrateHooks,
  type MigrationReport,
  migrate,
} from '../../controller/index.ts';
import { type AnyStrategy, readParameters, strategies, strategyByName } from '../../strategy/index.ts';
import type { ParameterValues } from '../../vm/index.ts';
import { labError } from '../errors.ts';
import type { Outcome } from './baseline.ts';
import type { Migrator, MigratorReport, MigratorRequest } from './contestant.ts';
import type { PlanStrategy } from './plan.ts';

export interface GatewayMigratorOptions {
  readonly gatewayMemoryBytesMax?: number;
  /** Whether the gateway is told what the link carries; without it the gateway measures. Default false. */
  readonly tellLink?: boolean;
  /**
   * A gateway at the destination too (paired). Without it pages go straight into the destination QEMU
   * (single).
   */
  readonly far?: (request: MigratorRequest) => FarOptions | null;
  /** Gets a dirty-page trace of the migration. */
  readonly recordPath?: string;
  readonly hooks?: Partial<MigrateHooks>;
  /** The controller's own account, beside what the lab measures from outside. */
  readonly onReport?: (report: MigrationReport) => void;
}

const nothing = () => undefined;
const GODWIT = fileURLToPath(new URL('../../../bin/godwit.mjs', import.meta.url));

/**
 * The far gateway is started on the destination host as ssh would, and its data comes over the shaped link.
 */
function farOf({ destination: { listen, connect }, destinationCommand = [] }: MigratorRequest): FarOptions {
  if (listen.port !== connect.port || listen.host !== connect.host) {
    throw labError('LAB_TOOL_MISSING', 'the paired arrangement needs a link that the kernel shapes', {
      hint: 'run the lab as root, with ip, tc and nsenter',
    });
  }
  return {
    reach: { command: destinationCommand, host: null },
    remoteCommand: [process.execPath, GODWIT],
    dataAddress: listen.host,
    connections: FAR_DEFAULTS.connections,
    workers: defaultWorkers(),
    linkTimeoutMs: FAR_DEFAULTS.linkTimeoutMs,
  };
}

function hooksOf({ onCommit }: MigratorRequest, { hooks }: GatewayMigratorOptions): MigrateHooks {
  return {
    onProgress: nothing,
    onIteration: nothing,
    onNote: nothing,
    ...hooks,
    onStep(step) {
      if (step === 'commit') onCommit?.();
      hooks?.onStep?.(step);
    },
  };
}

/**
 * For every strategy that moves a live VM through a gateway; `request.strategy` is its name in the registry.
 */
export function gatewayMigrator(options: GatewayMigratorOptions = {}): Migrator {
  return async (request, signal) => {
    const strategy = strategyByName(request.strategy);
    const { host, port } = request.destination.listen;
    const { connect } = request.destination;
    const far = options.far?.(request) ?? (request.arrangement === 'paired' ? farOf(request) : null);
    const report = await migrate(
      {
        sourceQmpPath: request.sourceQmpPath,
        destinationQmpPath: request.destinationQmpPath,
        destinationAddress: far
          ? null
          : { listen: `${host}:${port}`, connect: `${connect.host}:${connect.port}` },
        // Beside plain QEMU, which has no TLS there either.
        insecure: true,
        far,
        strategy,
        parameters: parametersOf(strategy, request.parameters),
        limits: {
          downtimeMsMax: request.downtimeLimitMs ?? MIGRATE_DEFAULTS.downtimeMsMax,
          timeoutMs: MIGRATE_DEFAULTS.timeoutMs,
          onTimeout: MIGRATE_DEFAULTS.onTimeout,
        },
        bandwidthBytesPerSecondMax: null,
        linkBytesPerSecond: options.tellLink ? request.linkBytesPerSecond : null,
        gatewayMemoryBytesMax: options.gatewayMemoryBytesMax ?? MIGRATE_DEFAULTS.gatewayMemoryBytesMax,
        sourceAfter: MIGRATE_DEFAULTS.sourceAfter,
        ackGate: 'auto',
        recordPath: options.recordPath ?? request.recordPath ?? null,
        // The VMs end with the run, so nothing is kept for a recovery.
        stateDirectory: join(request.folder, 'state'),
      },
      hooksOf(request, options),
      signal,
    );
    options.onReport?.(report);
    return accountOf(report, signal);
  };
}

/**
 * Who carries a strategy of a plan: null where godwit's gateway does not. Errors: PARAMETER_UNKNOWN,
 * PARAMETER_RANGE.
 */
export function gatewayMigratorFor(
  { name, parameters }: Pick<PlanStrategy, 'name' | 'parameters'>,
  options: GatewayMigratorOptions = {},
): Migrator | null {
  const strategy = strategies.find((candidate) => candidate.name === name);
  if (strategy === undefined || strategy.simulatorOnly !== null) return null;
  parametersOf(strategy, parameters);
  return gatewayMigrator(options);
}

/** Parameters that are not given have their defaults. */
function parametersOf(strategy: AnyStrategy, given: Readonly<Record<string, number>>): ParameterValues {
  return readParameters(
    strategy,
    Object.entries(given).map(([name, value]) => `${name}=${value}`),
  );
}

function accountOf(report: MigrationReport, signal: AbortSignal): MigratorReport {
  const { downtimePredictedMs, downtimeLimitMs, iterations, decision, notes, failure } = report;
  return {
    outcome: report.success ? 'completed' : outcomeOf(signal),
    arrangement: report.arrangement,
    reason: failure === null ? null : `${failure.text} (${failure.code})`,
    downtimePredictedMs,
    downtimeLimitMs,
    iterations,
    decision,
    notes,
    setupMs: report.setupMs,
    stopAndCopy: report.stopAndCopy,
  };
}

function outcomeOf(signal: AbortSignal): Outcome {
  if (!signal.aborted) return 'failed';
  return signal.reason instanceof Error && signal.reason.name === 'TimeoutError' ? 'timed-out' : 'cancelled';
}
