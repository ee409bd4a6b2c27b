/** How one of many series is told from the others: a hue, and a mark where two share one. Pure. */

import { element, hint, rectangle } from './svg.ts';

/** Twelve hues apart from each other; marks tell those apart that share one. */
const HUES = [211, 24, 140, 340, 265, 48, 180, 0, 95, 300, 230, 70] as const;
const MARKS = ['circle', 'square', 'diamond'] as const;

export interface Look {
  readonly colour: string;
  readonly mark: (typeof MARKS)[number];
}

export function lookOf(index: number): Look {
  return {
    colour: `hsl(${HUES[index % HUES.length]} 65% 45%)`,
    mark: MARKS[Math.floor(index / HUES.length) % MARKS.length]!,
  };
}

export interface MarkAt {
  readonly x: number;
  readonly y: number;
  readonly size: number;
  readonly opacity: number;
  readonly title: string;
}

export function markOf({ colour, mark }: Look, { x, y, size, opacity, title }: MarkAt): string {
  const style = { fill: colour, opacity };
  if (mark === 'circle') return element('circle', { cx: x, cy: y, r: size, ...style }, hint(title));
  const transform = mark === 'diamond' ? `rotate(45 ${x.toFixed(2)} ${y.toFixed(2)})` : null;
  return rectangle(x - size, y - size, 2 * size, 2 * size, { ...style, transform }, hint(title));
}

/** A mark by itself, for tables. */
export function swatch(look: Look): string {
  const size = look.mark === 'circle' ? 5 : 4;
  const mark = markOf(look, { x: 6, y: 6, size, opacity: 1, title: '' });
  return element('svg', { class: 'swatch', viewBox: '0 0 12 12' }, mark);
}
