/** The drive of one live move, wired to what watches and steers it. */

import { systemClock } from '../base/index.ts';
import { startEngine } from '../engine/index.ts';
import type { SourceGateway } from '../gateway/index.ts';
import type { QmpExecutor } from '../qmp/index.ts';
import { Drive } from './drive.ts';
import type { GatewayStream } from './gateway-stream.ts';
import type { MigrateHooks } from './hooks.ts';
import { FIXED_DOWNTIME_MS, type MigrateOptions } from './options.ts';
import type { ReportLog } from './report-log.ts';
import type { Steering } from './steering.ts';

export interface DriveParts {
  readonly options: Pick<MigrateOptions, 'strategy' | 'parameters' | 'limits' | 'linkBytesPerSecond'>;
  readonly gateway: SourceGateway;
  readonly stream: GatewayStream;
  /** Asked what is left of a pass. */
  readonly source: QmpExecutor;
  /** When QEMU was told to migrate. */
  readonly startMs: number;
  readonly guestRuns: boolean;
  readonly ackGate: boolean;
  readonly pageCount: number;
  readonly stateComplete: Promise<void>;
  readonly steering: Steering;
  readonly log: ReportLog;
  readonly hooks: Pick<MigrateHooks, 'onProgress' | 'onIteration'>;
}

export function openDrive(parts: DriveParts): Drive {
  const { gateway, source, startMs, guestRuns, stateComplete, steering, log, hooks } = parts;
  const { strategy, parameters, limits, linkBytesPerSecond } = parts.options;
  const drive = new Drive({
    ...{ gateway, source, startMs, guestRuns, stateComplete },
    clock: systemClock,
    engine: startEngine({
      ...{ strategy, parameters, limits },
      pageCount: parts.pageCount,
      linkBytesPerSecondConfigured: linkBytesPerSecond,
      fixedDowntimeMs: FIXED_DOWNTIME_MS,
      ackGate: parts.ackGate,
    }),
    isLinkSilent: () => parts.stream.way?.isSilent() ?? false,
    onProgress: (view) => {
      steering.see(view);
      hooks.onProgress(view);
    },
    onIteration: (stats) => {
      log.add(stats);
      hooks.onIteration(stats);
    },
  });
  steering.attach(drive, gateway);
  return drive;
}
