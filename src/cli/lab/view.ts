/**
 * What a person sees while a plan runs, and its result as a table of text. Returns or writes text only.
 * Not responsible for running anything (run.ts) nor for the figures (src/lab).
 */

import { type Clock, formatBytes, formatMs, formatRate, MIB } from '../../base/index.ts';
import type { CellStage, LabReport, Plan, PlanEvent, ReportRow, RunRecord, Spread } from '../../lab/index.ts';
import type { Output } from '../command.ts';
import { type LiveView, liveView } from '../screen/live.ts';
import { type Paint, painter, printable, wantsColour } from '../screen/output.ts';
import { formatTable, pad } from '../screen/table.ts';

const REDRAW_MS = 1000;
const KEY_COLUMNS = 34;

export class LabView {
  readonly #clock: Clock;
  readonly #live: LiveView;
  readonly #paint: Paint;
  #status = '';
  #stage = '';
  #sinceMs = 0;
  /** Null without a terminal: a log shows results, and not what happens between them. */
  readonly #ticker: NodeJS.Timeout | null;

  constructor(output: Output, clock: Clock) {
    this.#clock = clock;
    this.#live = liveView(output, clock);
    this.#paint = painter(wantsColour(output));
    this.#ticker = output.isTTY === true ? setInterval(() => this.#draw(), REDRAW_MS) : null;
  }

  introduce(plan: Plan, costMsMax: number, resultsPath: string): void {
    const { workloads, strategies, runs, linkBytesPerSecond, memoryBytes, timeLimitMs } = plan;
    const ids = (list: readonly { readonly id: string }[]) => list.map(({ id }) => id).join(', ');
    this.#live.log(this.#paint('bold', `godwit lab: ${plan.name}`));
    this.#live.log(
      `${workloads.length} workloads (${ids(workloads)}) x ${strategies.length} strategies (${ids(strategies)}) x ${runs} runs`,
    );
    this.#live.log(
      `guest ${formatBytes(memoryBytes)}, link ${formatRate(linkBytesPerSecond)}, time limit ${formatMs(timeLimitMs)}; at most ${formatMs(costMsMax)} in all`,
    );
    this.#live.log(`results are added to ${resultsPath}`);
  }

  show(event: PlanEvent): void {
    switch (event.kind) {
      case 'start':
        this.#live.log(
          `${event.done} of ${event.cells} runs are there; about ${formatMs(event.leftMs)} to go`,
        );
        return;
      case 'note':
        this.#live.log(`note: ${printable(event.text)}`);
        return;
      case 'waiting':
        this.#begin(this.#status, `waiting for ${event.lockPath}`);
        if (this.#ticker === null) this.#live.log(`${this.#status}  ${this.#stage}`);
        return;
      case 'cell':
        this.#begin(`${event.index + 1} of ${event.cells}  ${event.cell.key}`, 'starting');
        return;
      case 'stage':
        this.#begin(this.#status, stageText(event.stage));
        return;
      case 'result':
        this.#live.log(
          this.#resultLine(event.record, `${event.done} done, about ${formatMs(event.leftMs)} left`),
        );
    }
  }

  close(): void {
    if (this.#ticker !== null) clearInterval(this.#ticker);
    this.#live.close();
  }

  #begin(status: string, stage: string): void {
    this.#status = status;
    this.#stage = stage;
    this.#sinceMs = this.#clock.nowMs();
    this.#draw();
  }

  #draw(): void {
    if (this.#status === '' || this.#ticker === null) return;
    this.#live.update([`${this.#status}  ${this.#stage}  ${formatMs(this.#clock.nowMs() - this.#sinceMs)}`]);
  }

  #resultLine(record: RunRecord, estimate: string): string {
    const { key, success, expected } = record;
    const style =
      expected !== null && (expected === 'success') !== success ? 'red' : success ? 'green' : 'yellow';
    const mark = this.#paint(style, success ? 'moved ' : 'failed');
    return `${mark} ${pad(key, KEY_COLUMNS)} ${figuresOf(record)}  ${this.#paint('dim', estimate)}`;
  }
}

function stageText(stage: CellStage): string {
  switch (stage.kind) {
    case 'booted':
      return 'measuring its dirty rate';
    case 'measured':
      return `dirties ${formatRate(stage.rate.dirtyBytesPerSecond)}, migrating`;
    case 'moved':
      return `${stage.outcome}, verifying`;
  }
}

function figuresOf(record: RunRecord): string {
  const { totalMigrationTimeMs, downtimeMs, downtimePredictedMs, transferredBytes } = record;
  if (!record.success) return printable(failureOf(record));
  const predicted = downtimePredictedMs === null ? '' : ` (predicted ${formatMs(downtimePredictedMs)})`;
  return `total ${msText(totalMigrationTimeMs)}, down ${msText(downtimeMs)}${predicted}, ${formatBytes(transferredBytes)}`;
}

function msText(durationMs: number | null): string {
  return durationMs === null ? '\u2013' : formatMs(durationMs);
}

function failureOf({ reason, outcome, checks }: RunRecord): string {
  const complaints = checks
    .filter((check) => !check.holds)
    .map((check) => `${check.id}: ${check.complaints.join('; ')}`);
  return [outcome === 'completed' ? [] : (reason ?? outcome), ...complaints].flat().join(', ');
}

const CLIENT_COLUMNS = [
  { title: 'client gap s', align: 'right' },
  { title: 'throughput', align: 'right' },
] as const;

/** The four metrics by workload and strategy: median [min-max] of the runs that succeeded. */
export function reportTable(report: LabReport): string[] {
  const columns = [
    { title: 'workload' },
    { title: 'strategy' },
    { title: 'success', align: 'right' },
    { title: 'total time s', align: 'right' },
    { title: 'downtime s', align: 'right' },
    { title: 'data MiB', align: 'right' },
    { title: 'down/predicted', align: 'right' },
    { title: 'dirty/link', align: 'right' },
    { title: 'bad pages', align: 'right' },
    { title: 'beats lost', align: 'right' },
    { title: 'setup s', align: 'right' },
    // Only where clients used the guest.
    ...(report.rows.some((row) => row.clientGapMs !== null) ? CLIENT_COLUMNS : []),
  ] as const;
  const rows = report.rows.map((row) => [
    row.workload,
    row.strategy,
    `${row.successes} of ${row.runs}`,
    spreadText(row.metrics.totalMigrationTimeMs, 1000),
    spreadText(row.metrics.downtimeMs, 1000),
    spreadText(row.metrics.transferredBytes, MIB),
    spreadText(row.downtimeOverPredicted, 1),
    spreadText(row.dirtyOverLink, 1),
    row.badPages,
    row.heartbeatsLost,
    spreadText(row.setupMs, 1000),
    spreadText(row.clientGapMs, 1000),
    spreadText(row.clientThroughputRatio, 1),
  ]);
  return formatTable(columns, rows);
}

function spreadText(spread: Spread | null, unit: number): string | null {
  if (spread === null) return null;
  const text = (value: number) => (value / unit).toFixed(value / unit >= 100 ? 0 : 2);
  return `${text(spread.median)} [${text(spread.min)}\u2013${text(spread.max)}]`;
}

/** One line for each strategy that did not do what its plan expects. */
export function unmetExpectations(report: LabReport): string[] {
  return report.rows.filter((row) => !row.asExpected).map(unmetText);
}

function unmetText({ workload, strategy, successes, runs, expected, failures }: ReportRow): string {
  const wanted = expected === 'success' ? runs : 0;
  const why =
    expected === 'success'
      ? failures.map(({ reason, runs: times }) => ` (${times}: ${reason})`).join('')
      : '';
  return printable(`${workload}/${strategy} succeeded in ${successes} of ${runs} runs, not ${wanted}${why}`);
}
