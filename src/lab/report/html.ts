/**
 * A report as one self-contained page: the four metrics as plots and tables, distance to the bounds, what
 * each strategy did, and how it was measured. Pure: no script, no download, no date of its own. Not
 * responsible for the figures (report.ts) nor for drawing (src/plot).
 */

import { formatBytes, formatPercent, MIB, median } from '../../base/index.ts';
import { PREDICTION_RATIO_MAX, PREDICTION_RATIO_MIN } from '../../engine/index.ts';
import { course, escapeText, type StripRow, strips } from '../../plot/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { isBaseline, type MigratorIteration } from '../run/contestant.ts';
import { type LabReport, type Metric, type ReportRow, type Spread, spreadOf } from './report.ts';
import type { RunRecord } from './results.ts';
import { REPORT_STYLE } from './style.ts';

interface Figure {
  readonly metric: Metric;
  readonly title: string;
  readonly unit: string;
  /** In the metric's own unit. */
  readonly scale: number;
}

const FIGURES: readonly Figure[] = [
  { metric: 'totalMigrationTimeMs', title: 'Total migration time', unit: 's', scale: 1000 },
  { metric: 'downtimeMs', title: 'Downtime', unit: 's', scale: 1000 },
  { metric: 'transferredBytes', title: 'Transferred data', unit: 'MiB', scale: MIB },
];

const UNKNOWN = '\u2013';

/** `records` are those that `report` was built from: plots show each run. */
export function reportHtml(report: LabReport, records: readonly RunRecord[]): string {
  const runs = records.filter((record) => record.kind === 'run');
  const workloads = [...new Set(runs.map(({ workload }) => workload))];
  const colours = coloursOf(runs);
  return [
    '<!doctype html><html lang="en"><head><meta charset="utf-8">',
    '<meta name="viewport" content="width=device-width, initial-scale=1">',
    `<title>godwit lab: ${escapeText(report.plan)}</title><style>${REPORT_STYLE}</style></head><body><main>`,
    header(report, runs),
    successTiles(report, colours),
    ...workloads.map((workload) => workloadSection(workload, report, runs, colours)),
    ratioSection(report),
    failureSection(report),
    methodSection(report, runs),
    '</main></body></html>\n',
  ].join('\n');
}

/** Plain QEMU in greys, our strategies in colours. */
function coloursOf(runs: readonly RunRecord[]): Map<string, string> {
  const ids = [...new Set(runs.map(({ strategy }) => strategy))];
  const [plain, ours] = [ids.filter(isBaseline), ids.filter((id) => !isBaseline(id))];
  return new Map([
    ...plain.map((id, index) => [id, `var(--plain-${index % 4})`] as const),
    ...ours.map((id, index) => [id, `var(--ours-${index % 6})`] as const),
  ]);
}

function header(report: LabReport, runs: readonly RunRecord[]): string {
  const link = `${(report.linkBytesPerSecond * 8) / 1e6} Mbit/s`;
  const facts = [
    ['runs', String(runs.length)],
    ['guest memory', formatBytes(report.memoryBytes)],
    ['link', link],
    ['time limit', `${report.timeLimitMs / 1000} s`],
    ['QEMU', `${report.qemuVersions.join(', ')}, ${report.accelerators.join(', ')}`],
    ['cores', [...new Set(runs.map(({ cores }) => cores))].join(', ')],
    ['commit', report.commits.map((commit) => commit.slice(0, 12)).join(', ') || UNKNOWN],
  ];
  const items = facts.map(([name, value]) => `<div><dt>${name}</dt><dd>${escapeText(value!)}</dd></div>`);
  return `<h1>godwit lab: ${escapeText(report.plan)}</h1><dl class="facts">${items.join('')}</dl>`;
}

function successTiles(report: LabReport, colours: ReadonlyMap<string, string>): string {
  const groups = Map.groupBy(report.rows, ({ strategy }) => strategy);
  const tiles = [...groups].map(([strategy, rows]) => {
    const total = (read: (row: ReportRow) => number) => rows.reduce((sum, row) => sum + read(row), 0);
    const each = rows.map((row) => `${row.workload} ${row.successes} of ${row.runs}`).join(', ');
    const wanted =
      rows[0]?.expected === null
        ? ''
        : rows.every((row) => row.asExpected)
          ? 'as expected'
          : 'not as expected';
    return (
      `<div class="tile"><h3><i style="background:${colours.get(strategy)}"></i>${escapeText(strategy)}</h3>` +
      `<strong>${total((row) => row.successes)} of ${total((row) => row.runs)}</strong>` +
      `<p>${escapeText(each)}</p><p class="quiet">${wanted}</p></div>`
    );
  });
  const meaning =
    'A run succeeds if the VM runs at the destination within the time limit, every page of its memory verifies, no heartbeat is lost, ' +
    'the source is stopped, its disk log is whole, and what the strategy promised about its downtime held.';
  return `<h2>Success rate</h2><div class="tiles">${tiles.join('')}</div><p class="quiet">${meaning}</p>`;
}

function workloadSection(
  workload: string,
  report: LabReport,
  runs: readonly RunRecord[],
  colours: ReadonlyMap<string, string>,
): string {
  const rows = report.rows.filter((row) => row.workload === workload);
  const mine = runs.filter((record) => record.workload === workload);
  const dirty = spreadOfAll(rows, (row) => row.dirtyOverLink);
  const plots = FIGURES.map((figure) => metricPlot(figure, rows, mine, colours));
  return [
    `<h2>Workload ${escapeText(workload)}</h2>`,
    `<p>Unthrottled, the guest dirties ${dirty} times what the link carries. First run: <code>${escapeText(mine[0]?.guestCommandLine ?? '')}</code></p>`,
    metricsTable(rows),
    '<p class="quiet">Median [least\u2013most] of the runs that succeeded. The bound counts whole pages: each filled page crosses the link once, and of those that are written only as many are current as the link refreshes.</p>',
    `<div class="plots">${plots.join('')}${predictionPlot(rows, mine, colours)}</div>`,
    courses(rows, mine),
  ].join('');
}

function spreadOfAll(rows: readonly ReportRow[], read: (row: ReportRow) => Spread | null): string {
  const spreads = rows.map(read).filter((spread) => spread !== null);
  const least = Math.min(...spreads.map(({ min }) => min));
  const most = Math.max(...spreads.map(({ max }) => max));
  return least === most ? digits(least) : `${digits(least)} to ${digits(most)}`;
}

function metricPlot(
  { metric, title, unit, scale }: Figure,
  rows: readonly ReportRow[],
  runs: readonly RunRecord[],
  colours: ReadonlyMap<string, string>,
): string {
  // The median over all runs: the guest is the same in each, and its measured rate is not exact.
  const boundSpread = spreadOf(runs.map((record) => record.bounds[metric]));
  const bound = boundSpread === null ? null : boundSpread.median / scale;
  const stripRows = rows.map((row) =>
    stripOf(row, runs, colours, (record) => {
      const value = record.success ? record[metric] : null;
      return value === null ? null : value / scale;
    }),
  );
  const plot = strips({
    title: `${title} by strategy`,
    unit,
    rows: stripRows,
    bound: bound === null ? null : { value: bound, label: `bound ${digits(bound)}` },
    band: null,
    from: 0,
  });
  return `<figure><figcaption>${title}, one dot a run</figcaption>${plot}</figure>`;
}

function predictionPlot(
  rows: readonly ReportRow[],
  runs: readonly RunRecord[],
  colours: ReadonlyMap<string, string>,
): string {
  // Runs that count as failed are included, since a broken prediction may be the reason.
  const ratioOf = ({ downtimeMs, downtimePredictedMs }: RunRecord) =>
    downtimeMs === null || !downtimePredictedMs ? null : downtimeMs / downtimePredictedMs;
  const predicting = rows.filter((row) => row.downtimeOverPredicted !== null);
  if (predicting.length === 0) return '';
  const plot = strips({
    title: 'Measured over predicted downtime by strategy',
    unit: 'measured / predicted',
    rows: predicting.map((row) => stripOf(row, runs, colours, ratioOf)),
    bound: null,
    band: { from: PREDICTION_RATIO_MIN, to: PREDICTION_RATIO_MAX },
    from: 0,
  });
  return `<figure><figcaption>Downtime, measured over predicted; shaded: what counts as kept</figcaption>${plot}</figure>`;
}

function stripOf(
  row: ReportRow,
  runs: readonly RunRecord[],
  colours: ReadonlyMap<string, string>,
  read: (record: RunRecord) => number | null,
): StripRow {
  const points = runs
    .filter((record) => record.strategy === row.strategy)
    .flatMap((record) => {
      const value = read(record);
      return value === null
        ? []
        : [{ value, title: `run ${record.run}, seed ${record.seed}: ${digits(value)}` }];
    });
  const middle = median(points.map(({ value }) => value));
  return {
    label: row.strategy,
    colour: colours.get(row.strategy) ?? 'currentColor',
    points,
    note: middle === null ? 'none succeeded' : `median ${digits(middle)}`,
  };
}

function metricsTable(rows: readonly ReportRow[]): string {
  const head = [
    'strategy',
    'success',
    ...FIGURES.flatMap(({ title, unit }) => [`${title}, ${unit}`, '/ bound']),
    'measured / predicted',
    'guest speed',
    'bad pages',
    'beats lost',
  ];
  const body = rows.map((row) => [
    escapeText(row.strategy),
    `${row.successes} of ${row.runs}`,
    ...FIGURES.flatMap(({ metric, scale }) => [
      spreadText(row.metrics[metric], scale),
      medianText(row.overBounds[metric]),
    ]),
    spreadText(row.downtimeOverPredicted, 1),
    row.guestSpeedShare === null ? UNKNOWN : formatPercent(row.guestSpeedShare.median),
    String(row.badPages),
    String(row.heartbeatsLost),
  ]);
  return table(head, body) + clientsTable(rows);
}

/** What clients felt; empty where there are none. */
function clientsTable(rows: readonly ReportRow[]): string {
  const served = rows.filter((row) => row.clientGapMs !== null);
  if (served.length === 0) return '';
  const body = served.map((row) => [
    escapeText(row.strategy),
    spreadText(row.clientGapMs, 1000),
    spreadText(row.clientThroughputRatio, 1),
  ]);
  return table(['clients of', 'longest time without an answer, s', 'answers a second / before'], body);
}

/** Iterations of the run with the median total time among those that succeeded, else of the first run. */
function courses(rows: readonly ReportRow[], runs: readonly RunRecord[]): string {
  const shown = rows.map(({ strategy }) => typicalRun(runs.filter((record) => record.strategy === strategy)));
  const known = shown.filter((record) => record !== null && record.iterations.length > 0) as RunRecord[];
  if (known.length === 0) return '';
  const mib = (pages: number | null) => (pages === null ? null : (pages * PAGE_SIZE_BYTES) / MIB);
  const sentMib = (one: MigratorIteration) => (one.sentBytes === null ? null : one.sentBytes / MIB);
  // The first pass moves all of memory under every strategy, and would flatten the rest of the plot.
  const later = known.flatMap(({ iterations }) => iterations.slice(1));
  const mibMax = Math.max(
    1,
    ...later.flatMap((one) => [mib(one.dirtyPages) ?? 0, sentMib(one) ?? 0, mib(one.heldPages)!]),
  );
  const plots = known.map((record) => {
    const { iterations, totalMigrationTimeMs, downtimeMs, timeLimitMs, strategy, outcome } = record;
    const endMs = totalMigrationTimeMs ?? timeLimitMs;
    const downFromMs = downtimeMs === null ? null : endMs - downtimeMs;
    const plot = course({
      title: `Iterations of ${strategy}`,
      iterations: iterations.slice(1).map((one, index) => ({
        startMs: one.startMs,
        endMs: iterations[index + 2]?.startMs ?? downFromMs ?? endMs,
        dirtyMib: mib(one.dirtyPages),
        sentMib: sentMib(one),
        heldMib: mib(one.heldPages)!,
      })),
      endMs,
      down: downFromMs === null ? null : { fromMs: downFromMs, toMs: endMs },
      mibMax,
    });
    const caption = `${escapeText(strategy)}, run ${record.run}: ${outcome}`;
    return `<figure><figcaption>${caption}</figcaption>${plot}</figure>`;
  });
  const legend = [
    ['dirty', 'dirtied in the iteration'],
    ['sent', 'sent in it'],
    ['held', 'held back at its end'],
    ['down', 'VM stopped'],
  ].map(([name, text]) => `<span><i style="background:var(--${name})"></i>${text}</span>`);
  return `<h3>What each strategy did</h3><p class="legend">${legend.join('')} The first pass, which moves all there is, is left out.</p><div class="plots small">${plots.join('')}</div>`;
}

function typicalRun(runs: readonly RunRecord[]): RunRecord | null {
  const good = runs
    .filter((record) => record.success && record.totalMigrationTimeMs !== null)
    .sort((one, other) => one.totalMigrationTimeMs! - other.totalMigrationTimeMs!);
  return good[(good.length - 1) >> 1] ?? runs[0] ?? null;
}

function ratioSection(report: LabReport): string {
  const body = report.rows.flatMap((row) =>
    row.ratios
      .filter(({ metrics }) => FIGURES.some(({ metric }) => metrics[metric] !== null))
      .map(({ against, metrics }) => [
        escapeText(row.workload),
        escapeText(`${row.strategy} / ${against}`),
        ...FIGURES.map(({ metric }) => spreadText(metrics[metric], 1)),
        String(metrics.totalMigrationTimeMs?.runs ?? 0),
      ]),
  );
  if (body.length === 0) return '';
  const head = ['workload', 'strategies', ...FIGURES.map(({ title }) => title), 'runs'];
  return `<h2>Ratios within a run</h2><p class="quiet">Same guest, same seed, one after the other; only runs in which both succeeded.</p>${table(head, body)}`;
}

function failureSection(report: LabReport): string {
  const body = report.rows.flatMap((row) =>
    row.failures.map(({ reason, runs }) => [
      escapeText(row.workload),
      escapeText(row.strategy),
      String(runs),
      escapeText(reason),
    ]),
  );
  return body.length === 0
    ? ''
    : `<h2>Runs that did not succeed</h2>${table(['workload', 'strategy', 'runs', 'why'], body)}`;
}

function methodSection(report: LabReport, runs: readonly RunRecord[]): string {
  const load = spreadOf(runs.map(({ hostLoad }) => hostLoad));
  const others = spreadOf(runs.map(({ othersCores }) => othersCores));
  const seeds = [...new Set(runs.map(({ seed }) => seed))];
  const items = [
    'Each run boots a fresh pair of VMs; contestants take turns on the same guest with the same seed, one pair at a time.',
    'Total migration time: from migrate to the destination running. Downtime: the larger of source STOP to destination RESUME and the gap in the guest\u2019s own heartbeat less one beat. Data: bytes on the link, headers included.',
    'A run that failed or ran out of time stays in the success rate; the other figures are of runs that succeeded.',
    `Link: ${report.links.join('; ')}. Seeds ${Math.min(...seeds)} to ${Math.max(...seeds)}. `,
    `Load of the host when a run began: ${rangeText(load)}. Cores that other processes kept busy while a VM moved: ${rangeText(others)}.`,
  ];
  const list = (texts: readonly string[]) =>
    `<ul>${texts.map((text) => `<li>${escapeText(text)}</li>`).join('')}</ul>`;
  return `<h2>How it was measured</h2>${list(items)}<h3>Deviations from published evaluations</h3>${list(report.deviations)}`;
}

function table(head: readonly string[], body: readonly (readonly string[])[]): string {
  const row = (cells: readonly string[], tag: string) =>
    `<tr>${cells.map((cell) => `<${tag}>${cell}</${tag}>`).join('')}</tr>`;
  const rows = body.map((cells) => row(cells, 'td')).join('');
  return `<div class="wide"><table><thead>${row(head, 'th')}</thead><tbody>${rows}</tbody></table></div>`;
}

function spreadText(spread: Spread | null, scale: number): string {
  if (spread === null) return UNKNOWN;
  const text = (value: number) => digits(value / scale);
  return `${text(spread.median)} <small>[${text(spread.min)}\u2013${text(spread.max)}]</small>`;
}

function rangeText(spread: Spread | null): string {
  if (spread === null) return 'not known';
  return `${digits(spread.median)} [${digits(spread.min)}\u2013${digits(spread.max)}]`;
}

function medianText(spread: Spread | null): string {
  return spread === null ? UNKNOWN : `${digits(spread.median)}\u00d7`;
}

/** Three digits, which is as much as such measurements carry. */
function digits(value: number): string {
  const size = Math.abs(value);
  return value.toFixed(size >= 100 ? 0 : size >= 10 ? 1 : 2);
}
