/**
 * One simulated migration as a picture: what the destination lacks over time, and where; what was sent; when
 * the VM stood still. All pictures of one guest have the same axes, so that they can be laid side by side.
 * Pure SVG; not responsible for the samples (timeline.ts).
 */

import { formatBytes, formatMs } from '../base/index.ts';
import { escapeText } from './svg.ts';
import type { Sample } from './timeline.ts';

export interface Picture {
  readonly title: string;
  readonly samples: readonly Sample[];
  readonly stoppedAtMs: number | null;
  readonly downtimeMs: number | null;
  readonly totalMigrationTimeMs: number | null;
  /** Why it did not end; null where it did. */
  readonly reason: string | null;
}

export interface PictureAxes {
  readonly durationMsMax: number;
  readonly lackingBytesMax: number;
  /**
   * This has an axis of its own: several times the guest's memory may be sent, while little is lacking at any
   * moment.
   */
  readonly sentBytesMax: number;
}

/**
 * Runs that take more than this many times as long as the shortest are cut off: they would squeeze all
 * others.
 */
const SHORTEST_RUNS_MAX = 3;

/** Axes that all of these share. */
export function axesOf(runs: readonly Picture[]): PictureAxes {
  const durations = runs.flatMap(({ totalMigrationTimeMs }) => totalMigrationTimeMs ?? []);
  const longest = Math.max(...runs.flatMap(({ samples }) => samples.at(-1)?.atMs ?? []), 1);
  const durationMsMax =
    durations.length === 0 ? longest : Math.min(longest, SHORTEST_RUNS_MAX * Math.min(...durations));
  const seen = runs.flatMap(({ samples }) => samples.filter(({ atMs }) => atMs <= durationMsMax));
  const most = (of: (sample: Sample) => number) =>
    seen.reduce((greatest, sample) => Math.max(greatest, of(sample)), 1) * HEADROOM;
  return {
    durationMsMax,
    lackingBytesMax: most(lackingBytes),
    sentBytesMax: most(({ sentBytes }) => sentBytes),
  };
}

function lackingBytes({ heldBytes, queuedBytes, inQemuBytes }: Sample): number {
  return heldBytes + queuedBytes + inQemuBytes;
}

const HEADROOM = 1.05;
const WIDTH = 640;
const HEIGHT = 260;
const LEFT = 66;
const RIGHT = 56;
const TOP = 44;
const BOTTOM = 34;
/** Columns of the plot: finer than a pass, and still a small file. */
const COLUMNS = 200;

const LAYERS = [
  { name: 'held', colour: '#b3472e', of: ({ heldBytes }: Sample) => heldBytes },
  { name: 'queued', colour: '#e5a64b', of: ({ queuedBytes }: Sample) => queuedBytes },
  { name: 'dirty in QEMU', colour: '#9db8c7', of: ({ inQemuBytes }: Sample) => inQemuBytes },
] as const;
const SENT_COLOUR = '#24343d';
const STOPPED_COLOUR = '#24343d';

type Scale = (value: number) => number;

export function picture(run: Picture, axes: PictureAxes): string {
  const x = (ms: number) =>
    LEFT + (Math.min(ms, axes.durationMsMax) / axes.durationMsMax) * (WIDTH - LEFT - RIGHT);
  const y = heightOf(axes.lackingBytesMax);
  const ySent = heightOf(axes.sentBytesMax);
  const samples = thinned(run.samples, axes.durationMsMax);
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="Helvetica,Arial,sans-serif" font-size="11" role="img" aria-label="${escapeText(`${run.title}: ${outcomeOf(run)}`)}">
<rect width="${WIDTH}" height="${HEIGHT}" fill="#fbfaf7"/>
<text x="${LEFT}" y="18" font-size="14" font-weight="bold" fill="#2b3a42">${escapeText(run.title)}</text>
<text x="${WIDTH - 16}" y="18" text-anchor="end" fill="#2b3a42">${escapeText(firstClause(outcomeOf(run)))}</text>
${legend()}
${grid(axes, x, y, ySent)}
${areas(samples, x, y)}
${stopMark(run, axes, x)}
<path d="${lineOf(samples.map(({ atMs, sentBytes }) => [x(atMs), ySent(sentBytes)]))}" fill="none" stroke="${SENT_COLOUR}" stroke-width="1.6"/>
</svg>
`;
}

/** From bytes to a height in the plot. */
function heightOf(bytesMax: number): Scale {
  return (bytes) => HEIGHT - BOTTOM - (Math.min(bytes, bytesMax) / bytesMax) * (HEIGHT - TOP - BOTTOM);
}

function outcomeOf({ totalMigrationTimeMs, downtimeMs, samples, reason }: Picture): string {
  if (totalMigrationTimeMs === null || downtimeMs === null) return reason ?? 'it does not end';
  const sent = formatBytes(samples.at(-1)?.sentBytes ?? 0);
  return `${formatMs(totalMigrationTimeMs)} in all, ${formatMs(downtimeMs)} down, ${sent} sent`;
}

/** A rule's reason may be several clauses long, and the drawing has room for one; the label has them all. */
function firstClause(text: string): string {
  return text.split('; ', 1)[0]!;
}

/** The last sample of each column; the moments of stop and end stay. */
function thinned(samples: readonly Sample[], durationMsMax: number): Sample[] {
  const columnMs = durationMsMax / COLUMNS;
  const kept: Sample[] = [];
  for (const [index, sample] of samples.entries()) {
    const next = samples[index + 1];
    const isLast =
      next === undefined || Math.floor(next.atMs / columnMs) !== Math.floor(sample.atMs / columnMs);
    if (isLast || index === 0 || index === samples.length - 2) kept.push(sample);
    if (sample.atMs >= durationMsMax) break;
  }
  return kept;
}

function areas(samples: readonly Sample[], x: Scale, y: Scale): string {
  let below = samples.map(() => 0);
  return LAYERS.map(({ name, colour, of }) => {
    const above = samples.map((sample, index) => below[index]! + of(sample));
    const upper = samples.map(({ atMs }, index) => [x(atMs), y(above[index]!)] as const);
    const lower = samples.map(({ atMs }, index) => [x(atMs), y(below[index]!)] as const).reverse();
    const empty = above.every((bytes, index) => bytes === below[index]);
    below = above;
    return empty
      ? ''
      : `<path d="${lineOf([...upper, ...lower])}Z" fill="${colour}"><title>${name}</title></path>`;
  })
    .filter((path) => path !== '')
    .join('\n');
}

function lineOf(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
}

function stopMark({ stoppedAtMs, downtimeMs }: Picture, { durationMsMax }: PictureAxes, x: Scale): string {
  if (stoppedAtMs === null || stoppedAtMs >= durationMsMax) return '';
  const from = x(stoppedAtMs);
  const width = Math.max(1.5, x(stoppedAtMs + (downtimeMs ?? 0)) - from);
  const height = HEIGHT - TOP - BOTTOM;
  // The label stands behind the band where there is room, else before it.
  const fits = from + width + 70 < WIDTH - RIGHT;
  const at = fits ? `x="${(from + width + 5).toFixed(1)}"` : `x="${(from - 5).toFixed(1)}" text-anchor="end"`;
  return `<rect x="${from.toFixed(1)}" y="${TOP}" width="${width.toFixed(1)}" height="${height}" fill="${STOPPED_COLOUR}" fill-opacity="0.16"/>
<line x1="${from.toFixed(1)}" x2="${from.toFixed(1)}" y1="${TOP}" y2="${TOP + height}" stroke="${STOPPED_COLOUR}" stroke-dasharray="4 3"/>
<text ${at} y="${TOP + 12}" fill="${STOPPED_COLOUR}">VM stopped</text>`;
}

function legend(): string {
  let x = LEFT;
  const entries = LAYERS.map(({ name, colour }) => {
    const entry = `<rect x="${x}" y="26" width="10" height="10" fill="${colour}"/><text x="${x + 14}" y="35">${name}</text>`;
    x += 32 + 6 * name.length;
    return entry;
  });
  const sent = `<line x1="${x}" x2="${x + 14}" y1="31" y2="31" stroke="${SENT_COLOUR}" stroke-width="1.6"/><text x="${x + 18}" y="35">sent so far</text>`;
  return `<g fill="#46505c">${[...entries, sent].join('')}</g>`;
}

const STEPS = [1, 2, 5];
const TICKS_MAX = 6;

/** Round steps, at most six. */
function ticksOf(most: number): number[] {
  let step = 10 ** Math.floor(Math.log10(most / TICKS_MAX));
  for (const factor of [...STEPS, 10]) {
    if (most / (step * factor) <= TICKS_MAX) {
      step *= factor;
      break;
    }
  }
  return Array.from({ length: Math.floor(most / step + 1e-9) + 1 }, (_, index) => index * step);
}

const MB = 1e6;

function grid(
  { durationMsMax, lackingBytesMax, sentBytesMax }: PictureAxes,
  x: Scale,
  y: Scale,
  ySent: Scale,
): string {
  const bottom = HEIGHT - BOTTOM;
  const middle = (TOP + bottom) / 2;
  const times = ticksOf(durationMsMax / 1000).map((seconds) => {
    const at = x(seconds * 1000).toFixed(1);
    return `<text x="${at}" y="${bottom + 15}" text-anchor="middle">${Number(seconds.toFixed(6))}</text>`;
  });
  const sizes = ticksOf(lackingBytesMax / MB).map((megabytes) => {
    const at = y(megabytes * MB).toFixed(1);
    return `<line x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${at}" y2="${at}" stroke="#e2e0d9"/><text x="${LEFT - 6}" y="${Number(at) + 4}" text-anchor="end">${Number(megabytes.toFixed(6))}</text>`;
  });
  const sent = ticksOf(sentBytesMax / MB).map((megabytes) => {
    const at = ySent(megabytes * MB).toFixed(1);
    return `<line x1="${WIDTH - RIGHT}" x2="${WIDTH - RIGHT + 4}" y1="${at}" y2="${at}" stroke="#46505c"/><text x="${WIDTH - RIGHT + 7}" y="${Number(at) + 4}">${Number(megabytes.toFixed(6))}</text>`;
  });
  const names = `<text x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 5}" text-anchor="middle">seconds since the migration began</text><text transform="translate(14 ${middle}) rotate(-90)" text-anchor="middle">MB lacking</text><text transform="translate(${WIDTH - 6} ${middle}) rotate(-90)" text-anchor="middle">MB sent</text>`;
  return `<g fill="#46505c">${[...sizes, ...sent, ...times, names].join('')}</g>`;
}
