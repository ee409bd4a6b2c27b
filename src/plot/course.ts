/** The course of one migration: what each iteration dirtied and sent, and what was held, over time. Pure. */

import { linearScale, ticksOf } from './scale.ts';
import { element, line, polyline, rectangle, svg, text } from './svg.ts';

export interface CourseIteration {
  readonly startMs: number;
  readonly endMs: number;
  readonly dirtyMib: number | null;
  readonly sentMib: number | null;
  /** When it ended. */
  readonly heldMib: number;
}

export interface CourseOptions {
  readonly title: string;
  readonly iterations: readonly CourseIteration[];
  readonly endMs: number;
  /** Both ends of the downtime; null: the VM never stood still. */
  readonly down: { readonly fromMs: number; readonly toMs: number } | null;
  readonly mibMax: number;
}

const WIDTH = 420;
const HEIGHT = 220;
const LEFT = 44;
const RIGHT = 14;
const TOP = 12;
const BOTTOM = 34;
const HEADROOM = 1.05;

export function course({ title, iterations, endMs, down, mibMax }: CourseOptions): string {
  const bottom = HEIGHT - BOTTOM;
  const x = linearScale(0, endMs, LEFT, WIDTH - RIGHT);
  const y = linearScale(0, mibMax * HEADROOM, bottom, TOP);
  const series = (read: (one: CourseIteration) => number | null, stroke: string) => {
    const known = iterations.filter((one) => read(one) !== null);
    const steps = known.flatMap((one) => {
      const level = y(read(one)!);
      return [[x(one.startMs), level] as const, [x(one.endMs), level] as const];
    });
    return steps.length === 0 ? [] : [element('path', { d: polyline(steps), class: 'course', stroke })];
  };
  return svg(WIDTH, HEIGHT, title, [
    ...(down === null
      ? []
      : [rectangle(x(down.fromMs), TOP, x(down.toMs) - x(down.fromMs), bottom - TOP, { class: 'down' })]),
    ...ticksOf(0, mibMax * HEADROOM, 5).flatMap((tick) => [
      line(LEFT, y(tick), WIDTH - RIGHT, y(tick), { class: 'grid' }),
      text(LEFT - 6, y(tick) + 4, String(tick), { class: 'tick end' }),
    ]),
    ...ticksOf(0, endMs / 1000).map((tick) =>
      text(x(tick * 1000), bottom + 15, String(tick), { class: 'tick middle' }),
    ),
    text(WIDTH - RIGHT, HEIGHT - 4, 'seconds since migrate', { class: 'tick end' }),
    text(LEFT - 36, HEIGHT - 4, 'MiB', { class: 'tick' }),
    ...series((one) => one.dirtyMib, 'var(--dirty)'),
    ...series((one) => one.sentMib, 'var(--sent)'),
    ...series((one) => one.heldMib, 'var(--held)'),
  ]);
}
