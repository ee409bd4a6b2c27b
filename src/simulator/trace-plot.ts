/**
 * A trace as a picture: page address against time, darker where more was written; below it, how much a moment
 * wrote. Pure SVG.
 */

import { formatBytes, formatMs, formatRate } from '../base/index.ts';
import { group, rectangle, svgFile, text } from '../plot/index.ts';
import { heatMap, type Recording } from '../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';

const COLUMNS = 180;
const ROWS = 120;
const CELL_WIDTH = 5;
const CELL_HEIGHT = 3;
const LEFT = 80;
const TOP = 30;
const BARS = 80;
const GAP = 34;
const TEXT_COLOUR = '#46505c';

export function tracePlot(recording: Recording): string {
  const { header, sets, end } = recording;
  const cells = heatMap(recording, COLUMNS, ROWS);
  const spanMs = Math.max(1, (sets.at(-1)?.endMs ?? 0) - (sets[0]?.startMs ?? 0));
  const width = LEFT + COLUMNS * CELL_WIDTH + 20;
  const mapHeight = ROWS * CELL_HEIGHT;
  const height = TOP + mapHeight + GAP + BARS + 40;
  const most = cells.reduce((greatest, cell) => Math.max(greatest, cell), 1);
  const squares: string[] = [];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const cell = cells[row * COLUMNS + column]!;
      if (cell === 0) continue;
      // The square root: a page now and then is still seen beside a page always.
      const shade = Math.max(0.06, Math.sqrt(cell / most));
      const [x, y] = [LEFT + column * CELL_WIDTH, TOP + row * CELL_HEIGHT];
      squares.push(rectangle(x, y, CELL_WIDTH, CELL_HEIGHT, { 'fill-opacity': shade }));
    }
  }
  const bytes = header.pageCount * PAGE_SIZE_BYTES;
  const shares = [0, 0.25, 0.5, 0.75, 1];
  const addresses = shares.map((share) =>
    text(LEFT - 6, TOP + share * mapHeight + 4, formatBytes(share * bytes), { 'text-anchor': 'end' }),
  );
  const times = shares.map((share) =>
    text(LEFT + share * COLUMNS * CELL_WIDTH, height - 14, formatMs(share * spanMs), {
      'text-anchor': 'middle',
    }),
  );
  const title = `${header.about || 'trace'}: pages written, by address and time${end.whole ? '' : ' (cut off)'}`;
  const look = { title, paper: '#fff', fontFamily: 'system-ui, sans-serif', fontSize: 12 };
  return svgFile(width, height, look, [
    text(LEFT, 18, title, { 'font-size': 14 }),
    rectangle(LEFT, TOP, COLUMNS * CELL_WIDTH, mapHeight, { fill: '#f4f6f8' }),
    group({ fill: '#b3261e' }, squares),
    group({ fill: TEXT_COLOUR }, [...addresses, ...times]),
    ...bars(recording, cells, spanMs, TOP + mapHeight + GAP),
  ]);
}

function bars(recording: Recording, cells: Float64Array, spanMs: number, top: number): string[] {
  const perColumn = Array.from({ length: COLUMNS }, (_, column) => {
    let pages = 0;
    for (let row = 0; row < ROWS; row++) pages += cells[row * COLUMNS + column]!;
    return (pages * PAGE_SIZE_BYTES * 1000 * COLUMNS) / spanMs;
  });
  const most = Math.max(1, ...perColumn);
  const drawn = perColumn.map((rate, column) => {
    const height = (rate / most) * BARS;
    return rectangle(LEFT + column * CELL_WIDTH, top + BARS - height, CELL_WIDTH, height, {});
  });
  const told = recording.sets.length === 0 ? 'nothing was written' : `up to ${formatRate(most)}`;
  return [
    group({ fill: '#3a6ea5' }, drawn),
    text(LEFT, top - 6, `written, a page once a set: ${told}`, { fill: TEXT_COLOUR }),
  ];
}
