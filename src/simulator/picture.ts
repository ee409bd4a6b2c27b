/**
 * One simulated migration as a picture: what the destination lacks over time, and where; what was sent; when
 * the VM stood still. All pictures of one guest have the same axes, so that they can be laid side by side.
 * Pure SVG; not responsible for the samples (timeline.ts).
 */

import { formatBytes, formatMs } from '../base/index.ts';
import {
  element,
  escapeText,
  group,
  hint,
  line,
  linearScale,
  polyline,
  rectangle,
  type Scale,
  svgFile,
  text,
  ticksOf,
} from '../plot/index.ts';
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
const TEXT_COLOUR = '#46505c';
const TITLE_COLOUR = '#2b3a42';

/** The plot's own places: time along, bytes up. */
interface Plot {
  readonly x: Scale;
  readonly lacking: Scale;
  readonly sent: Scale;
}

export function picture(run: Picture, axes: PictureAxes): string {
  const plot: Plot = {
    x: capped(axes.durationMsMax, linearScale(0, axes.durationMsMax, LEFT, WIDTH - RIGHT)),
    lacking: heightOf(axes.lackingBytesMax),
    sent: heightOf(axes.sentBytesMax),
  };
  const samples = thinned(run.samples, axes.durationMsMax);
  const sent = polyline(samples.map(({ atMs, sentBytes }) => [plot.x(atMs), plot.sent(sentBytes)]));
  const outcome = outcomeOf(run);
  const look = {
    title: `${run.title}: ${outcome}`,
    paper: '#fbfaf7',
    fontFamily: 'Helvetica,Arial,sans-serif',
    fontSize: 11,
  };
  return svgFile(WIDTH, HEIGHT, look, [
    text(LEFT, 18, run.title, { 'font-size': 14, 'font-weight': 'bold', fill: TITLE_COLOUR }),
    text(WIDTH - 16, 18, firstClause(outcome), { ...END, fill: TITLE_COLOUR }),
    legend(),
    grid(axes, plot),
    ...areas(samples, plot),
    ...stopMark(run, axes, plot),
    element('path', { d: sent, fill: 'none', stroke: SENT_COLOUR, 'stroke-width': 1.6 }),
  ]);
}

const END = { 'text-anchor': 'end' };
const MIDDLE = { 'text-anchor': 'middle' };

/** What lies beyond the axis is drawn at its end. */
function capped(most: number, scale: Scale): Scale {
  return (value) => scale(Math.min(value, most));
}

/** From bytes to a height in the plot. */
function heightOf(bytesMax: number): Scale {
  return capped(bytesMax, linearScale(0, bytesMax, HEIGHT - BOTTOM, TOP));
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

function areas(samples: readonly Sample[], { x, lacking }: Plot): string[] {
  let below = samples.map(() => 0);
  return LAYERS.flatMap(({ name, colour, of }) => {
    const above = samples.map((sample, index) => below[index]! + of(sample));
    const upper = samples.map(({ atMs }, index) => [x(atMs), lacking(above[index]!)] as const);
    const lower = samples.map(({ atMs }, index) => [x(atMs), lacking(below[index]!)] as const).reverse();
    const empty = above.every((bytes, index) => bytes === below[index]);
    below = above;
    if (empty) return [];
    return [element('path', { d: `${polyline([...upper, ...lower])}Z`, fill: colour }, hint(name))];
  });
}

function stopMark(
  { stoppedAtMs, downtimeMs }: Picture,
  { durationMsMax }: PictureAxes,
  { x }: Plot,
): string[] {
  if (stoppedAtMs === null || stoppedAtMs >= durationMsMax) return [];
  const from = x(stoppedAtMs);
  const width = Math.max(1.5, x(stoppedAtMs + (downtimeMs ?? 0)) - from);
  const bottom = HEIGHT - BOTTOM;
  // The label stands behind the band where there is room, else before it.
  const fits = from + width + 70 < WIDTH - RIGHT;
  const label = { fill: STOPPED_COLOUR, ...(fits ? {} : END) };
  return [
    rectangle(from, TOP, width, bottom - TOP, { fill: STOPPED_COLOUR, 'fill-opacity': 0.16 }),
    line(from, TOP, from, bottom, { stroke: STOPPED_COLOUR, 'stroke-dasharray': '4 3' }),
    text(fits ? from + width + 5 : from - 5, TOP + 12, 'VM stopped', label),
  ];
}

function legend(): string {
  let x = LEFT;
  const entries = LAYERS.map(({ name, colour }) => {
    const entry = rectangle(x, 26, 10, 10, { fill: colour }) + text(x + 14, 35, name);
    x += 32 + 6 * name.length;
    return entry;
  });
  const sent = line(x, 31, x + 14, 31, { stroke: SENT_COLOUR, 'stroke-width': 1.6 });
  return group({ fill: TEXT_COLOUR }, [...entries, sent, text(x + 18, 35, 'sent so far')]);
}

const MB = 1e6;

function grid({ durationMsMax, lackingBytesMax, sentBytesMax }: PictureAxes, plot: Plot): string {
  const bottom = HEIGHT - BOTTOM;
  const right = WIDTH - RIGHT;
  const times = ticksOf(0, durationMsMax / 1000).map((seconds) =>
    text(plot.x(seconds * 1000), bottom + 15, String(seconds), MIDDLE),
  );
  const sizes = ticksOf(0, lackingBytesMax / MB).map((megabytes) => {
    const at = plot.lacking(megabytes * MB);
    return line(LEFT, at, right, at, { stroke: '#e2e0d9' }) + text(LEFT - 6, at + 4, String(megabytes), END);
  });
  const sent = ticksOf(0, sentBytesMax / MB).map((megabytes) => {
    const at = plot.sent(megabytes * MB);
    return (
      line(right, at, right + 4, at, { stroke: TEXT_COLOUR }) + text(right + 7, at + 4, String(megabytes))
    );
  });
  const names = [
    text((LEFT + right) / 2, HEIGHT - 5, 'seconds since the migration began', MIDDLE),
    upright(14, 'MB lacking'),
    upright(WIDTH - 6, 'MB sent'),
  ];
  return group({ fill: TEXT_COLOUR }, [...sizes, ...sent, ...times, ...names]);
}

/** Beside the plot, read from below. */
function upright(x: number, words: string): string {
  const transform = `translate(${x} ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`;
  return element('text', { transform, ...MIDDLE }, escapeText(words));
}
