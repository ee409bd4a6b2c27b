/**
 * godwit's own controller as a Migrator of the lab: what a plan or a demo runs beside plain QEMU.
 * Not responsible for measuring or judging the move (move.ts, checks.ts).
 */

import { join } from 'node:path';
import { MIGRATE_DEFAULTS, type MigrateHooks, type MigrationReport, migrate } from '../controller/index.ts';
import { strategyByName } from '../strategy/index.ts';
import type { Outcome } from './baseline.ts';
import type { Migrator, MigratorReport } from './contestant.ts';

export interface GatewayMigratorOptions {
  readonly gatewayMemoryBytesMax?: number;
  /** Tell the gateway what the link carries; false: it has to measure. Default false. */
  readonly tellLink?: boolean;
  readonly hooks?: Partial<MigrateHooks>;
  /** The controller's own account, beside what the lab measures from outside. */
  readonly onReport?: (report: MigrationReport) => void;
}

const nothing = () => undefined;

/** For every strategy whose mechanism is `gateway`; `request.strategy` is its name in the registry. */
export function gatewayMigrator(options: GatewayMigratorOptions = {}): Migrator {
  return async (request, signal) => {
    const { host, port } = request.destination.listen;
    const { connect } = request.destination;
    const report = await migrate(
      {
        sourceQmpPath: request.sourceQmpPath,
        destinationQmpPath: request.destinationQmpPath,
        destinationAddress: { listen: `${host}:${port}`, connect: `${connect.host}:${connect.port}` },
        strategy: strategyByName(request.strategy),
        parameters: request.parameters,
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
        // The VMs are thrown away after the run, and so is what a recovery would need.
        stateDirectory: join(request.folder, 'state'),
      },
      { onProgress: nothing, onIteration: nothing, onNote: nothing, ...options.hooks },
      signal,
    );
    options.onReport?.(report);
    return accountOf(report, signal);
  };
}

function accountOf(report: MigrationReport, signal: AbortSignal): MigratorReport {
  const { downtimePredictedMs, downtimeLimitMs, iterations, decision, notes, failure } = report;
  return {
    outcome: report.success ? 'completed' : outcomeOf(signal),
    reason: failure === null ? null : `${failure.text} (${failure.code})`,
    downtimePredictedMs,
    downtimeLimitMs,
    iterations,
    decision,
    notes,
  };
}

function outcomeOf(signal: AbortSignal): Outcome {
  if (!signal.aborted) return 'failed';
  return signal.reason instanceof Error && signal.reason.name === 'TimeoutError' ? 'timed-out' : 'cancelled';
}
