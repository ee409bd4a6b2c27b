/** One row a series: the middle half of its values as a box, and where the rest lies. Pure. */

import type { Look } from './look.ts';
import { linearScale } from './scale.ts';
import { hint, line, rectangle, svg, text } from './svg.ts';

export interface BoxRow {
  readonly label: string;
  readonly look: Look;
  /** 5 %, 25 %, median, 75 %, 95 %. */
  readonly quantiles: readonly [number, number, number, number, number];
}

export interface BoxOptions {
  readonly title: string;
  /** Where the axis ends; what lies beyond is cut. */
  readonly most: number;
  readonly format: (value: number) => string;
}

const WIDTH = 560;
const ROW_HEIGHT = 22;
const NAME_WIDTH = 130;
const RIGHT = 20;

/** Shares from 0 on. */
export function boxes(rows: readonly BoxRow[], { title, most, format }: BoxOptions): string {
  const height = rows.length * ROW_HEIGHT + 34;
  const scale = linearScale(0, most, NAME_WIDTH, WIDTH - RIGHT);
  const x = (value: number) => scale(Math.min(value, most));
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * most);
  const grid = ticks.map(
    (tick) =>
      line(x(tick), 4, x(tick), height - 26, { class: 'grid' }) +
      text(x(tick), height - 10, format(tick), { 'text-anchor': 'middle' }),
  );
  const drawn = rows.map(({ label, look, quantiles }, index) => {
    const [low, lower, middle, upper, high] = quantiles;
    const y = index * ROW_HEIGHT + 14;
    const told = hint(`${label}: median ${format(middle)}, 95 % ${format(high)}`);
    const width = Math.max(1, x(upper) - x(lower));
    return [
      text(NAME_WIDTH - 8, y + 4, label, { 'text-anchor': 'end' }),
      line(x(low), y, x(high), y, { stroke: look.colour }),
      rectangle(x(lower), y - 6, width, 12, { fill: look.colour, opacity: 0.45 }, told),
      line(x(middle), y - 7, x(middle), y + 7, { stroke: look.colour, 'stroke-width': 3 }),
    ].join('');
  });
  return svg(WIDTH, height, title, [...grid, ...drawn]);
}
