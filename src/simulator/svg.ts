/**
 * Small hand-made plots as SVG text: a scatter on logarithmic axes, and boxes. Pure; not responsible for what
 * they show.
 */

export function escapeText(text: string): string {
  return text.replace(/[&<>"]/g, (char) => `&#${char.charCodeAt(0)};`);
}

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

export interface Point {
  readonly x: number;
  readonly y: number;
  readonly look: Look;
  readonly title: string;
  /** Runs are small, medians large and named. */
  readonly label: string | null;
}

export interface Line {
  readonly axis: 'x' | 'y';
  readonly at: number;
  readonly title: string;
}

const WIDTH = 560;
const HEIGHT = 340;
const LEFT = 66;
const BOTTOM = 44;
const TOP = 14;
const RIGHT = 96;

export function scatter(
  points: readonly Point[],
  lines: readonly Line[],
  axes: { readonly x: string; readonly y: string; readonly format: (value: number) => string },
): string {
  if (points.length === 0) return '<p class="none">no run completed</p>';
  const x = logScale([...points.map((point) => point.x), ...at(lines, 'x')], LEFT, WIDTH - RIGHT);
  const y = logScale([...points.map((point) => point.y), ...at(lines, 'y')], HEIGHT - BOTTOM, TOP);
  const ticks = [
    ...x.ticks.map((tick) => gridX(x.map(tick), axes.format(tick))),
    ...y.ticks.map((tick) => gridY(y.map(tick), axes.format(tick))),
  ];
  const bounds = lines.map((line) => boundLine(line, line.axis === 'x' ? x.map(line.at) : y.map(line.at)));
  const runs = points.filter(({ label }) => label === null);
  const medians = points.filter(({ label }) => label !== null);
  const marks = [...runs, ...medians].map((point) => markOf(point, x.map(point.x), y.map(point.y)));
  const labels = placeLabels(
    clustered(medians.map((point) => ({ name: point.label!, x: x.map(point.x), y: y.map(point.y) }))),
  );
  return [
    `<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img">`,
    ...ticks,
    `<text class="axis" x="${(LEFT + WIDTH - RIGHT) / 2}" y="${HEIGHT - 6}" text-anchor="middle">${escapeText(axes.x)}</text>`,
    `<text class="axis" transform="translate(14 ${(TOP + HEIGHT - BOTTOM) / 2}) rotate(-90)" text-anchor="middle">${escapeText(axes.y)}</text>`,
    ...bounds,
    ...marks,
    ...labels,
    '</svg>',
  ].join('\n');
}

function at(lines: readonly Line[], axis: 'x' | 'y'): number[] {
  return lines.filter((line) => line.axis === axis).map((line) => line.at);
}

interface Scale {
  readonly ticks: readonly number[];
  map(value: number): number;
}

function logScale(values: readonly number[], from: number, to: number): Scale {
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
  return { ticks, map: (value) => from + ((Math.log10(value) - low) / span) * (to - from) };
}

function gridX(x: number, label: string): string {
  return `<line class="grid" x1="${x}" x2="${x}" y1="${TOP}" y2="${HEIGHT - BOTTOM}"/><text x="${x}" y="${HEIGHT - BOTTOM + 16}" text-anchor="middle">${escapeText(label)}</text>`;
}

function gridY(y: number, label: string): string {
  return `<line class="grid" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${y}" y2="${y}"/><text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${escapeText(label)}</text>`;
}

function boundLine(line: Line, position: number): string {
  const title = `<title>${escapeText(line.title)}</title>`;
  return line.axis === 'x'
    ? `<line class="bound" x1="${position}" x2="${position}" y1="${TOP}" y2="${HEIGHT - BOTTOM}">${title}</line>`
    : `<line class="bound" x1="${LEFT}" x2="${WIDTH - RIGHT}" y1="${position}" y2="${position}">${title}</line>`;
}

function markOf(point: Point, x: number, y: number): string {
  const single = point.label === null;
  return shapeOf(point.look, x, y, single ? 2.5 : 6, single ? 0.35 : 1, point.title);
}

function shapeOf(look: Look, x: number, y: number, size: number, opacity: number, title: string): string {
  const { colour, mark } = look;
  const text = title === '' ? '' : `<title>${escapeText(title)}</title>`;
  if (mark === 'circle')
    return `<circle cx="${x}" cy="${y}" r="${size}" fill="${colour}" opacity="${opacity}">${text}</circle>`;
  const turn = mark === 'diamond' ? ` transform="rotate(45 ${x} ${y})"` : '';
  return `<rect x="${x - size}" y="${y - size}" width="${2 * size}" height="${2 * size}" fill="${colour}" opacity="${opacity}"${turn}>${text}</rect>`;
}

/** A mark by itself, for tables. */
export function swatch(look: Look): string {
  return `<svg class="swatch" viewBox="0 0 12 12">${shapeOf(look, 6, 6, look.mark === 'circle' ? 5 : 4, 1, '')}</svg>`;
}

const LABEL_HEIGHT = 12;
const LABEL_GAP = 9;
/** Marks closer than this share a label, which names so many of them. */
const NEAR = 9;
const NAMES_MAX = 2;

interface Label {
  readonly x: number;
  readonly y: number;
  readonly text: string;
}

function clustered(marks: readonly { name: string; x: number; y: number }[]): Label[] {
  const clusters: { x: number; y: number; names: string[] }[] = [];
  for (const { name, x, y } of marks) {
    const near = clusters.find((cluster) => Math.abs(cluster.x - x) < NEAR && Math.abs(cluster.y - y) < NEAR);
    if (near) near.names.push(name);
    else clusters.push({ x, y, names: [name] });
  }
  return clusters.map(({ x, y, names }) => {
    const more = names.length > NAMES_MAX ? ` +${names.length - NAMES_MAX}` : '';
    return { x, y, text: names.slice(0, NAMES_MAX).join(', ') + more };
  });
}

/** Labels stand right of their marks, pushed down where they would lie upon each other. */
function placeLabels(labels: readonly Label[]): string[] {
  const placed: { x: number; y: number; width: number }[] = [];
  return [...labels]
    .sort((one, other) => one.y - other.y)
    .map(({ x, y, text }) => {
      const width = text.length * 6.2;
      // At the right edge a label stands left of its mark.
      const left = x + LABEL_GAP + width > WIDTH ? x - LABEL_GAP - width : x + LABEL_GAP;
      let labelY = y + 4;
      const hits = (other: { x: number; y: number; width: number }) =>
        Math.abs(other.y - labelY) < LABEL_HEIGHT && left < other.x + other.width && other.x < left + width;
      while (placed.some(hits)) labelY += 2;
      placed.push({ x: left, y: labelY, width });
      return `<text class="name" x="${left}" y="${labelY}">${escapeText(text)}</text>`;
    });
}

export interface BoxRow {
  readonly label: string;
  readonly look: Look;
  /** 5 %, 25 %, median, 75 %, 95 %. */
  readonly quantiles: readonly [number, number, number, number, number];
}

const ROW_HEIGHT = 22;
const NAME_WIDTH = 130;

/** Shares from 0 on; `most` is where the axis ends, and what lies beyond is cut. */
export function boxes(rows: readonly BoxRow[], most: number, format: (value: number) => string): string {
  const height = rows.length * ROW_HEIGHT + 34;
  const x = (value: number) => NAME_WIDTH + (Math.min(value, most) / most) * (WIDTH - NAME_WIDTH - 20);
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => share * most);
  const grid = ticks.map(
    (tick) =>
      `<line class="grid" x1="${x(tick)}" x2="${x(tick)}" y1="4" y2="${height - 26}"/><text x="${x(tick)}" y="${height - 10}" text-anchor="middle">${escapeText(format(tick))}</text>`,
  );
  const drawn = rows.map(({ label, look, quantiles }, index) => {
    const [low, lower, middle, upper, high] = quantiles;
    const y = index * ROW_HEIGHT + 14;
    const title = `<title>${escapeText(`${label}: median ${format(middle)}, 95 % ${format(high)}`)}</title>`;
    return [
      `<text x="${NAME_WIDTH - 8}" y="${y + 4}" text-anchor="end">${escapeText(label)}</text>`,
      `<line x1="${x(low)}" x2="${x(high)}" y1="${y}" y2="${y}" stroke="${look.colour}"/>`,
      `<rect x="${x(lower)}" y="${y - 6}" width="${Math.max(1, x(upper) - x(lower))}" height="12" fill="${look.colour}" opacity="0.45">${title}</rect>`,
      `<line x1="${x(middle)}" x2="${x(middle)}" y1="${y - 7}" y2="${y + 7}" stroke="${look.colour}" stroke-width="3"/>`,
    ].join('');
  });
  return [`<svg viewBox="0 0 ${WIDTH} ${height}" role="img">`, ...grid, ...drawn, '</svg>'].join('\n');
}
