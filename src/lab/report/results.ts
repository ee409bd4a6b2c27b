/**
 * Raw results: JSON lines, one a run, each naming all that is needed to repeat it. Appended as runs end.
 * Not responsible for tables (report.ts).
 */

import { appendFileSync, existsSync, readFileSync, writeFileSync } from 'node:fs';
import { errorCode, errorMessage } from '../../base/index.ts';
import { labError } from '../errors.ts';
import type { Bounds } from '../judge/bounds.ts';
import type { CheckResult } from '../judge/checks.ts';
import type { ClientFigures } from '../linux/client-figures.ts';
import type { MigratorIteration, MigratorReport } from '../run/contestant.ts';
import type { Expectation } from '../run/plan.ts';

export const RESULT_SCHEMA = 'godwit.result/1';

/** Where and with what: the same for all runs of a sitting. */
export interface Provenance {
  /** Null outside a git checkout. */
  readonly commit: string | null;
  /** The checkout had changes that no commit names. */
  readonly modified: boolean | null;
  readonly qemuVersion: string;
  readonly accelerator: string;
  readonly nodeVersion: string;
  readonly cores: number;
  readonly link: 'namespaces' | 'relay';
  readonly linkNote: string | null;
}

export interface RunRecord extends Provenance {
  readonly schema: typeof RESULT_SCHEMA;
  /** A calibration run looks for the relaxed limit and is in no table. */
  readonly kind: 'run' | 'calibration';
  readonly plan: string;
  readonly planHash: string;
  readonly key: string;
  readonly workload: string;
  readonly strategy: string;
  readonly parameters: Readonly<Record<string, number>>;
  readonly run: number;
  readonly seed: number;
  readonly startedAt: string;
  /** One-minute load average when the run began. */
  readonly hostLoad: number;
  /** Cores that others kept busy while the VM moved, on average; null where that is not known. */
  readonly othersCores: number | null;
  readonly guestCommandLine: string;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly timeLimitMs: number;
  readonly dirtyBytesPerSecond: number;
  /** Null for a Linux guest, which does not count them. */
  readonly writtenBytesPerSecond: number | null;
  readonly memoryIntensive: boolean;
  readonly bounds: Bounds;
  /** What the plan expects of this strategy; null: nothing. */
  readonly expected: Expectation | null;
  readonly success: boolean;
  readonly outcome: MigratorReport['outcome'];
  readonly reason: string | null;
  readonly arrangement: MigratorReport['arrangement'];
  readonly totalMigrationTimeMs: number | null;
  readonly downtimeMs: number | null;
  readonly downtimeByEventsMs: number | null;
  readonly downtimeByHeartbeatMs: number | null;
  readonly downtimePredictedMs: number | null;
  /** What was asked for; a promise only where the check `limits` says so. */
  readonly downtimeLimitMs: number | null;
  /** From the contestant being asked to QMP `migrate`; absent in older results, null for plain QEMU. */
  readonly setupMs?: number | null;
  /** Milliseconds since the source stopped, step by step; absent in older results, empty for plain QEMU. */
  readonly stopAndCopy?: Readonly<Record<string, number>>;
  readonly transferredBytes: number;
  readonly returnedBytes: number;
  /**
   * Guest writes per second during the migration over those before it; null for a guest that writes nothing.
   */
  readonly guestSpeedShare: number | null;
  /** What clients outside felt; absent where there are none. */
  readonly clients?: ClientFigures;
  readonly iterations: readonly MigratorIteration[];
  readonly decision: MigratorReport['decision'];
  readonly verification: {
    readonly pages: number;
    readonly badPages: number;
    readonly heartbeatsLost: number | null;
  } | null;
  readonly checks: readonly CheckResult[];
  readonly notes: readonly string[];
}

export function appendResult(path: string, record: RunRecord): void {
  appendFileSync(path, `${JSON.stringify(record)}\n`);
}

/** Empty where there is no file. A last line that a crash cut is dropped; any other fault is LAB_RESULTS. */
export function readResults(path: string): RunRecord[] {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    if (errorCode(error) === 'ENOENT') return [];
    throw error;
  }
  return parseResults(text, path);
}

/** Reads the results and cuts off a torn last line, so that the next one is not appended to it. */
export function resumeResults(path: string): RunRecord[] {
  const records = readResults(path);
  if (existsSync(path) && !readFileSync(path, 'utf8').endsWith('\n')) {
    writeFileSync(path, records.map((record) => `${JSON.stringify(record)}\n`).join(''));
  }
  return records;
}

export function parseResults(text: string, path = 'results'): RunRecord[] {
  const lines = text.split('\n');
  const cut = lines.pop();
  const records = lines.flatMap((line, index) =>
    line === '' ? [] : [parseResult(line, `${path}:${index + 1}`)],
  );
  if (!cut) return records;
  try {
    return [...records, parseResult(cut, path)];
  } catch {
    return records;
  }
}

function parseResult(line: string, where: string): RunRecord {
  let record: unknown;
  try {
    record = JSON.parse(line);
  } catch (cause) {
    throw labError('LAB_RESULTS', `${where}: ${errorMessage(cause)}`, { cause });
  }
  const schema =
    record !== null && typeof record === 'object' && 'schema' in record ? record.schema : undefined;
  if (schema !== RESULT_SCHEMA) {
    throw labError('LAB_RESULTS', `${where}: its schema is not ${RESULT_SCHEMA}`);
  }
  return record as RunRecord;
}
