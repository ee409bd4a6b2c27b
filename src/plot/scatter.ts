/** Runs as marks on two logarithmic axes, medians large and named, and the bounds beside them. Pure. */

import { labels } from './labels.ts';
import { type Look, markOf } from './look.ts';
import { logAxis } from './scale.ts';
import { element, escapeText, hint, svg, text } from './svg.ts';

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly look: Look;
  readonly title: string;
  /** Runs are small, medians large and named. */
  readonly label: string | null;
}

export interface BoundLine {
  readonly axis: 'x' | 'y';
  readonly at: number;
  readonly title: string;
}

export interface ScatterAxes {
  readonly x: string;
  readonly y: string;
  readonly format: (value: number) => string;
}

const WIDTH = 560;
const HEIGHT = 340;
const LEFT = 66;
const BOTTOM = 44;
const TOP = 14;
const RIGHT = 96;

export function scatter(points: readonly Point[], bounds: readonly BoundLine[], axes: ScatterAxes): string {
  if (points.length === 0) return '<p class="none">no run completed</p>';
  const x = logAxis([...points.map((point) => point.x), ...boundsOn(bounds, 'x')], LEFT, WIDTH - RIGHT);
  const y = logAxis([...points.map((point) => point.y), ...boundsOn(bounds, 'y')], HEIGHT - BOTTOM, TOP);
  const runs = points.filter(({ label }) => label === null);
  const medians = points.filter(({ label }) => label !== null);
  return svg(WIDTH, HEIGHT, `${axes.y} against ${axes.x}`, [
    ...x.ticks.map((tick) => across(x.scale(tick), 'grid')),
    ...x.ticks.map((tick) => text(x.scale(tick), HEIGHT - BOTTOM + 16, axes.format(tick), MIDDLE)),
    ...y.ticks.map((tick) => along(y.scale(tick), 'grid')),
    ...y.ticks.map((tick) => text(LEFT - 6, y.scale(tick) + 4, axes.format(tick), { 'text-anchor': 'end' })),
    ...axisNames(axes),
    ...bounds.map(({ axis, at, title }) =>
      axis === 'x' ? across(x.scale(at), 'bound', title) : along(y.scale(at), 'bound', title),
    ),
    ...[...runs, ...medians].map(({ look, title, label, ...at }) => {
      const size = label === null ? { size: 2.5, opacity: 0.35 } : { size: 6, opacity: 1 };
      return markOf(look, { x: x.scale(at.x), y: y.scale(at.y), title, ...size });
    }),
    ...labels(
      medians.map((point) => ({ name: point.label!, x: x.scale(point.x), y: y.scale(point.y) })),
      WIDTH,
    ),
  ]);
}

const MIDDLE = { 'text-anchor': 'middle' };

function boundsOn(bounds: readonly BoundLine[], axis: 'x' | 'y'): number[] {
  return bounds.filter((bound) => bound.axis === axis).map(({ at }) => at);
}

function axisNames(axes: ScatterAxes): string[] {
  const style = { class: 'axis', ...MIDDLE };
  const transform = `translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)`;
  return [
    text((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 6, axes.x, style),
    element('text', { transform, ...style }, escapeText(axes.y)),
  ];
}

/** A line at one value of x. */
function across(x: number, style: string, title = ''): string {
  return element('line', { x1: x, x2: x, y1: TOP, y2: HEIGHT - BOTTOM, class: style }, hint(title));
}

/** A line at one value of y. */
function along(y: number, style: string, title = ''): string {
  return element('line', { x1: LEFT, x2: WIDTH - RIGHT, y1: y, y2: y, class: style }, hint(title));
}
