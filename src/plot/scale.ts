/** From values to places on an axis, and which values an axis names. Pure. */

export type Scale = (value: number) => number;

export function linearScale(from: number, to: number, start: number, end: number): Scale {
  return (value) => start + ((value - from) / (to - from)) * (end - start);
}

/** At most `count` round steps (1, 2 or 5 times a power of ten) from `from` to `to`. */
export function ticksOf(from: number, to: number, count = 6): number[] {
  const raw = (to - from) / count;
  if (!(raw > 0) || !Number.isFinite(raw)) return [from];
  const power = 10 ** Math.floor(Math.log10(raw));
  const step = power * ([1, 2, 5, 10].find((factor) => factor * power >= raw) ?? 10);
  const first = Math.ceil(from / step - 1e-9);
  const last = Math.floor(to / step + 1e-9);
  return Array.from({ length: last - first + 1 }, (_, index) =>
    Number(((first + index) * step).toPrecision(12)),
  );
}

export interface LogAxis {
  readonly scale: Scale;
  readonly ticks: readonly number[];
}

/** Spans the values above 0, with a margin. */
export function logAxis(values: readonly number[], start: number, end: number): LogAxis {
  const positive = values.filter((value) => value > 0);
  const low = Math.log10(Math.min(...positive)) - 0.06;
  const high = Math.log10(Math.max(...positive)) + 0.06;
  const span = Math.max(high - low, 0.2);
  const steps =
    span > 1.3 ? [1, 3] : span > 0.5 ? [1, 2, 3, 5, 7] : [1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9];
  const ticks: number[] = [];
  for (let decade = Math.floor(low); decade <= Math.ceil(low + span); decade++) {
    for (const step of steps) {
      const log = decade + Math.log10(step);
      if (log >= low && log <= low + span) ticks.push(10 ** log);
    }
  }
  const scale = linearScale(low, low + span, start, end);
  return { ticks, scale: (value) => scale(Math.log10(value)) };
}
