/** A sweep as one self-contained HTML page: tables and plots, no script, nothing loaded. Pure. */

import { formatMs, formatPercent, quantile } from '../base/index.ts';
import {
  type BoundLine,
  type BoxRow,
  boxes,
  escapeText,
  type Look,
  lookOf,
  type Point,
  scatter,
  swatch,
} from '../plot/index.ts';
import { DOWNTIME_WEIGHT } from '../strategy/index.ts';
import { groupBy, SUMMARY_FIGURES, type SummaryRow, summarize } from './summary.ts';
import type { TaskResult } from './task.ts';

export interface SweepPage {
  readonly plan: string;
  readonly seed: number;
  readonly commit: string | null;
  readonly results: readonly TaskResult[];
}

/** More runs than this a plot are thinned; the medians are of all. */
const RUNS_DRAWN_MAX = 1500;

export function sweepPage({ plan, seed, commit, results }: SweepPage): string {
  const names = [...new Set(results.map(({ strategy }) => strategy))];
  const looks = new Map(names.map((name, index) => [name, lookOf(index)]));
  const sections = [...groupBy(results, ({ workload }) => workload)].map(([workload, runs]) =>
    sectionOf(workload, runs, looks),
  );
  return `<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>${escapeText(plan)}: simulated</title>
<style>${STYLE}</style></head><body>
<h1>${escapeText(plan)}</h1>
<p class="about">Simulated: the live engine, rules and page structures over a modelled guest, QEMU and link. ${results.length} runs, seed ${seed}, commit ${escapeText(commit ?? 'not known')}. Figures are medians of completed runs; small marks are single runs, dashed lines the bounds that no rule can beat.</p>
${sections.join('\n')}
${regretSection(results, looks)}
</body></html>
`;
}

function sectionOf(workload: string, runs: readonly TaskResult[], looks: ReadonlyMap<string, Look>): string {
  const rows = [...groupBy(runs, ({ strategy }) => strategy)].map(([name, group]) => summarize(group, name));
  const axes = { x: 'total migration time', y: 'downtime', format: formatMs };
  return `<section><h2>${escapeText(workload)} <small>${runs.length} runs</small></h2><div class="pair"><div class="plot">${scatter(pointsOf(runs, rows, looks), boundsOf(rows), axes)}</div>
<div class="scroll">${tableOf(rows, looks)}</div></div></section>`;
}

function pointsOf(
  runs: readonly TaskResult[],
  rows: readonly SummaryRow[],
  looks: ReadonlyMap<string, Look>,
): Point[] {
  const step = Math.max(1, Math.ceil(runs.length / RUNS_DRAWN_MAX));
  const single = runs
    .filter((_, index) => index % step === 0)
    .flatMap(({ strategy, key, totalMigrationTimeMs: x, downtimeMs: y }) =>
      x === null || y === null ? [] : [{ x, y, look: looks.get(strategy)!, title: key, label: null }],
    );
  const medians = rows.flatMap(({ strategy, totalMigrationTimeMs: x, downtimeMs: y }) =>
    x === null || y === null
      ? []
      : [
          {
            x,
            y,
            look: looks.get(strategy)!,
            title: `${strategy}: ${formatMs(x)} in all, ${formatMs(y)} down`,
            label: strategy,
          },
        ],
  );
  return [...single, ...medians];
}

function boundsOf(rows: readonly SummaryRow[]): BoundLine[] {
  const total = leastOf(rows.map((row) => row.totalMigrationTimeMsMin));
  const downtime = leastOf(rows.map((row) => row.downtimeMsMin));
  const lines: BoundLine[] = [];
  if (total !== null) lines.push({ axis: 'x', at: total, title: `total time at least ${formatMs(total)}` });
  if (downtime !== null)
    lines.push({ axis: 'y', at: downtime, title: `downtime at least ${formatMs(downtime)}` });
  return lines;
}

/** Bounds differ by what a strategy's handover costs with nothing left; all rows keep the least. */
function leastOf(bounds: readonly (number | null)[]): number | null {
  const known = bounds.filter((bound) => bound !== null);
  return known.length === 0 ? null : Math.min(...known);
}

function tableOf(rows: readonly SummaryRow[], looks: ReadonlyMap<string, Look>): string {
  const head = ['strategy', ...SUMMARY_FIGURES.map(({ title }) => title)];
  const body = rows.map((row) => {
    const cells = SUMMARY_FIGURES.map((figure) => figure.of(row) ?? '\u2013');
    const mark = swatch(looks.get(row.strategy)!);
    const title = row.reasons[0] === undefined ? '' : ` title="${escapeText(row.reasons[0])}"`;
    return `<tr${title}><th>${mark}${escapeText(row.strategy)}</th>${cells.map((cell) => `<td>${escapeText(cell)}</td>`).join('')}</tr>`;
  });
  return `<table><thead><tr>${head.map((title) => `<th>${title}</th>`).join('')}</tr></thead><tbody>${body.join('')}</tbody></table>`;
}

function regretSection(results: readonly TaskResult[], looks: ReadonlyMap<string, Look>): string {
  const rows = [...groupBy(results, ({ strategy }) => strategy)].flatMap(([label, runs]): BoxRow[] => {
    const regrets = runs.map(({ regret }) => regret).filter((regret) => regret !== null);
    if (regrets.length === 0) return [];
    const of = (share: number) => quantile(regrets, share)!;
    return [{ label, look: looks.get(label)!, quantiles: [of(0.05), of(0.25), of(0.5), of(0.75), of(0.95)] }];
  });
  if (rows.length === 0) return '';
  const highest = Math.max(...rows.map(({ quantiles }) => quantiles[4]));
  const most = Math.min(1, Math.max(0.1, Math.ceil(highest * 10) / 10));
  return `<section><h2>Regret</h2><p class="about">Cost over the best moment to stop on the same run, less one; cost is total time, and ${DOWNTIME_WEIGHT} times the downtime beyond the limit. Boxes: quartiles; lines: 5 to 95 %.</p><div class="plot">${boxes(rows, { title: 'regret', most, format: formatPercent })}</div></section>`;
}

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6573; --line: #dfe4ea; --paper: #fff; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6eaf0; --soft: #98a3b1; --line: #333c48; --paper: #14181e; } }
body { margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: var(--ink); background: var(--paper); font: 15px/1.5 system-ui, sans-serif; }
h1 { font-size: 1.5rem; margin: 0; } h2 { font-size: 1.1rem; margin: 2rem 0 .3rem; }
.about { color: var(--soft); max-width: 60rem; margin: .3rem 0 1rem; }
.pair { display: grid; grid-template-columns: minmax(20rem, 1fr) minmax(20rem, 36rem); gap: 1.5rem; align-items: start; }
@media (max-width: 60rem) { .pair { grid-template-columns: 1fr; } }
.scroll { overflow-x: auto; } .plot { max-width: 46rem; }
svg { width: 100%; height: auto; font: 11px system-ui, sans-serif; }
svg text { fill: var(--soft); } svg .name, svg .axis { fill: var(--ink); }
.grid { stroke: var(--line); } .bound { stroke: var(--ink); stroke-dasharray: 5 4; stroke-width: 1.5; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; font-size: 13px; width: 100%; }
th, td { padding: .15rem .45rem; text-align: right; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child { text-align: left; font-weight: 600; } thead th { color: var(--soft); font-weight: 500; }
.swatch { width: .8em; height: .8em; margin-right: .5em; vertical-align: -.05em; } small { color: var(--soft); font-weight: 400; }
.none { color: var(--soft); }
`;
