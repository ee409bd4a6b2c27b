/**
 * One row a series, one dot a run, a bar at the median; beside them a bound, or a band that dots should be
 * in. Pure.
 */

import { median } from '../base/index.ts';
import { linearScale, type Scale, ticksOf } from './scale.ts';
import { element, hint, line, rectangle, svg, text } from './svg.ts';

export interface StripRow {
  readonly label: string;
  /** A CSS colour. */
  readonly colour: string;
  readonly points: readonly { readonly value: number; readonly title: string }[];
  /** Beside the row: the median, or that nothing ended. */
  readonly note: string;
}

export interface StripOptions {
  readonly title: string;
  readonly unit: string;
  readonly rows: readonly StripRow[];
  /** A dashed line that no dot should be left of. */
  readonly bound: { readonly value: number; readonly label: string } | null;
  /** A range that dots should be in. */
  readonly band: { readonly from: number; readonly to: number } | null;
  readonly from: number;
}

const WIDTH = 640;
const LEFT = 150;
const RIGHT = 120;
const TOP = 34;
const ROW_HEIGHT = 34;
const AXIS_HEIGHT = 34;
const SPREAD = 9;

export function strips({ title, unit, rows, bound, band, from }: StripOptions): string {
  const height = TOP + rows.length * ROW_HEIGHT + AXIS_HEIGHT;
  const most = Math.max(
    ...rows.flatMap(({ points }) => points.map(({ value }) => value)),
    bound?.value ?? from,
    band?.to ?? from,
  );
  const to = most > from ? from + (most - from) * 1.06 : from + 1;
  const x = linearScale(from, to, LEFT, WIDTH - RIGHT);
  const bottom = height - AXIS_HEIGHT;
  return svg(WIDTH, height, title, [
    ...(band === null
      ? []
      : [rectangle(x(band.from), TOP, x(band.to) - x(band.from), bottom - TOP, { class: 'band' })]),
    ...ticksOf(from, to).flatMap((tick) => [
      line(x(tick), TOP, x(tick), bottom, { class: 'grid' }),
      text(x(tick), bottom + 15, String(tick), { class: 'tick middle' }),
    ]),
    text(WIDTH - RIGHT, bottom + 30, unit, { class: 'tick end' }),
    ...rows.map((row, index) => strip(row, TOP + ROW_HEIGHT * (index + 0.5), x)),
    ...(bound === null
      ? []
      : [
          line(x(bound.value), TOP - 6, x(bound.value), bottom, { class: 'bound' }),
          text(x(bound.value), TOP - 11, bound.label, { class: 'tick middle' }),
        ]),
  ]);
}

function strip(row: StripRow, y: number, x: Scale): string {
  const middle = median(row.points.map(({ value }) => value));
  const rule = y + ROW_HEIGHT / 2;
  const dots = row.points.map(({ value, title }, index) => {
    // Side by side in the order of the runs, so that equal values stay apart and a drift shows.
    const share = row.points.length === 1 ? 0 : (index / (row.points.length - 1)) * 2 - 1;
    const at = { cx: x(value), cy: y + share * SPREAD, r: 4 };
    return element('circle', { ...at, fill: row.colour, class: 'dot' }, hint(title));
  });
  return [
    line(LEFT, rule, WIDTH - RIGHT, rule, { class: 'rule' }),
    text(LEFT - 12, y + 4, row.label, { class: 'name end' }),
    ...(middle === null ? [] : [line(x(middle), y - 13, x(middle), y + 13, { class: 'median' })]),
    ...dots,
    text(WIDTH - RIGHT + 12, y + 4, row.note, { class: 'note' }),
  ].join('');
}
