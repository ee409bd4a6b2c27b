/**
 * Plots of a report as SVG text, without a library: runs as dots beside a bound, and the course of one
 * migration. Pure. Colours are CSS variables of the page (html.ts). Not responsible for which figures are
 * shown.
 */

export function escapeXml(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
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

const STRIP = { width: 640, left: 150, right: 120, top: 34, row: 34, axis: 34, spread: 9 } as const;

/** One row for each strategy, one dot for each run, a bar at the median. */
export function stripPlot(options: StripOptions): string {
  const { title, unit, rows, bound, band, from } = options;
  const { width, left, right, top, row, axis } = STRIP;
  const height = top + rows.length * row + axis;
  const most = Math.max(
    ...rows.flatMap(({ points }) => points.map(({ value }) => value)),
    bound?.value ?? from,
    band?.to ?? from,
  );
  const to = most > from ? from + (most - from) * 1.06 : from + 1;
  const x = (value: number) => left + ((value - from) / (to - from)) * (width - left - right);
  const bottom = height - axis;
  const parts = [
    ...(band === null ? [] : [rectangle(x(band.from), top, x(band.to), bottom, 'band')]),
    ...ticksOf(from, to).map(
      (tick) =>
        `${line(x(tick), top, x(tick), bottom, 'grid')}${label(x(tick), bottom + 15, String(tick), 'tick middle')}`,
    ),
    label(width - right, bottom + 30, unit, 'tick end'),
    ...rows.map((one, index) => stripRow(one, top + row * (index + 0.5), x)),
    ...(bound === null
      ? []
      : [
          line(x(bound.value), top - 6, x(bound.value), bottom, 'bound'),
          label(x(bound.value), top - 11, bound.label, 'tick middle'),
        ]),
  ];
  return svg(width, height, title, parts);
}

function stripRow(row: StripRow, y: number, x: (value: number) => number): string {
  const { width, left, right, spread } = STRIP;
  const sorted = row.points.map(({ value }) => value).sort((one, other) => one - other);
  const middle = (sorted[(sorted.length - 1) >> 1]! + sorted[sorted.length >> 1]!) / 2;
  const bar = sorted.length === 0 ? '' : line(x(middle), y - 13, x(middle), y + 13, 'median');
  const dots = row.points.map(({ value, title }, index) => {
    // Side by side in the order of the runs, so that equal values stay apart and a drift shows.
    const share = row.points.length === 1 ? 0 : (index / (row.points.length - 1)) * 2 - 1;
    const at = `cx="${fixed(x(value))}" cy="${fixed(y + share * spread)}" r="4"`;
    return `<circle ${at} fill="${row.colour}" class="dot"><title>${escapeXml(title)}</title></circle>`;
  });
  return [
    line(left, y + STRIP.row / 2, width - right, y + STRIP.row / 2, 'rule'),
    label(left - 12, y + 4, row.label, 'name end'),
    bar,
    ...dots,
    label(width - right + 12, y + 4, row.note, 'note'),
  ].join('');
}

export interface CourseOptions {
  readonly title: string;
  /** Iterations, each with what it dirtied and sent, and what waited when it ended. */
  readonly iterations: readonly {
    readonly startMs: number;
    readonly endMs: number;
    readonly dirtyMib: number | null;
    readonly sentMib: number | null;
    readonly heldMib: number;
  }[];
  readonly endMs: number;
  /** Both ends of the downtime; null: the VM never stood still. */
  readonly down: { readonly fromMs: number; readonly toMs: number } | null;
  readonly mibMax: number;
}

const COURSE = { width: 420, height: 220, left: 44, right: 14, top: 12, bottom: 34 } as const;

/** What each iteration dirtied and sent, and what was held, over time. */
export function coursePlot(options: CourseOptions): string {
  const { iterations, endMs, down, mibMax } = options;
  const { width, height, left, right, top, bottom } = COURSE;
  const x = (atMs: number) => left + (atMs / endMs) * (width - left - right);
  const y = (mib: number) => height - bottom - (mib / (mibMax * 1.05)) * (height - top - bottom);
  const series = (read: (one: CourseOptions['iterations'][number]) => number | null, colour: string) => {
    const known = iterations.filter((one) => read(one) !== null);
    const steps = known
      .map((one, index) => {
        const level = fixed(y(read(one)!));
        return `${index === 0 ? 'M' : 'L'}${fixed(x(one.startMs))} ${level}L${fixed(x(one.endMs))} ${level}`;
      })
      .join('');
    return steps === '' ? '' : `<path d="${steps}" class="course" stroke="${colour}"/>`;
  };
  const parts = [
    ...(down === null ? [] : [rectangle(x(down.fromMs), top, x(down.toMs), height - bottom, 'down')]),
    ...ticksOf(0, mibMax * 1.05, 5).map(
      (tick) =>
        `${line(left, y(tick), width - right, y(tick), 'grid')}${label(left - 6, y(tick) + 4, String(tick), 'tick end')}`,
    ),
    ...ticksOf(0, endMs / 1000, 6).map((tick) =>
      label(x(tick * 1000), height - bottom + 15, String(tick), 'tick middle'),
    ),
    label(width - right, height - 4, 'seconds since migrate', 'tick end'),
    label(left - 36, height - 4, 'MiB', 'tick'),
    series((one) => one.dirtyMib, 'var(--dirty)'),
    series((one) => one.sentMib, 'var(--sent)'),
    series((one) => one.heldMib, 'var(--held)'),
  ];
  return svg(width, height, options.title, parts);
}

function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  const name = escapeXml(title);
  return `<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${name}">${parts.join('')}</svg>`;
}

function line(x1: number, y1: number, x2: number, y2: number, style: string): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" class="${style}"/>`;
}

function rectangle(x1: number, y1: number, x2: number, y2: number, style: string): string {
  const size = `width="${fixed(x2 - x1)}" height="${fixed(y2 - y1)}"`;
  return `<rect x="${fixed(x1)}" y="${fixed(y1)}" ${size} class="${style}"/>`;
}

function label(x: number, y: number, text: string, style: string): string {
  return `<text x="${fixed(x)}" y="${fixed(y)}" class="${style}">${escapeXml(text)}</text>`;
}

function fixed(value: number): string {
  return value.toFixed(1);
}
