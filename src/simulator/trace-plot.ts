/**
 * A trace as a picture: page address against time, darker where more was written; below it, how much a moment
 * wrote. Pure SVG.
 */

import { formatBytes, formatMs, formatRate } from '../base/index.ts';
import { heatMap, type Recording } from '../trace/index.ts';
import { PAGE_SIZE_BYTES } from '../vm/index.ts';
import { escapeText } from './svg.ts';

const COLUMNS = 180;
const ROWS = 120;
const CELL_WIDTH = 5;
const CELL_HEIGHT = 3;
const LEFT = 80;
const TOP = 30;
const BARS = 80;
const GAP = 34;

export function tracePlot(recording: Recording): string {
  const { header, sets, end } = recording;
  const cells = heatMap(recording, COLUMNS, ROWS);
  const spanMs = Math.max(1, (sets.at(-1)?.endMs ?? 0) - (sets[0]?.startMs ?? 0));
  const width = LEFT + COLUMNS * CELL_WIDTH + 20;
  const mapHeight = ROWS * CELL_HEIGHT;
  const height = TOP + mapHeight + GAP + BARS + 40;
  const most = cells.reduce((greatest, cell) => Math.max(greatest, cell), 1);
  const rects: string[] = [];
  for (let row = 0; row < ROWS; row++) {
    for (let column = 0; column < COLUMNS; column++) {
      const cell = cells[row * COLUMNS + column]!;
      if (cell === 0) continue;
      // The square root: a page now and then is still seen beside a page always.
      const shade = Math.max(0.06, Math.sqrt(cell / most));
      rects.push(
        `<rect x="${LEFT + column * CELL_WIDTH}" y="${TOP + row * CELL_HEIGHT}" width="${CELL_WIDTH}" height="${CELL_HEIGHT}" fill-opacity="${shade.toFixed(2)}"/>`,
      );
    }
  }
  const bytes = header.pageCount * PAGE_SIZE_BYTES;
  const addresses = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${LEFT - 6}" y="${TOP + share * mapHeight + 4}" text-anchor="end">${escapeText(formatBytes(share * bytes))}</text>`,
  );
  const times = [0, 0.25, 0.5, 0.75, 1].map(
    (share) =>
      `<text x="${LEFT + share * COLUMNS * CELL_WIDTH}" y="${height - 14}" text-anchor="middle">${escapeText(formatMs(share * spanMs))}</text>`,
  );
  const whole = end.whole ? '' : ' (cut off)';
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" font-family="system-ui, sans-serif" font-size="12">
<rect width="100%" height="100%" fill="#fff"/>
<text x="${LEFT}" y="18" font-size="14">${escapeText(`${header.about || 'trace'}: pages written, by address and time${whole}`)}</text>
<rect x="${LEFT}" y="${TOP}" width="${COLUMNS * CELL_WIDTH}" height="${mapHeight}" fill="#f4f6f8"/>
<g fill="#b3261e">${rects.join('')}</g>
<g fill="#46505c">${addresses.join('')}${times.join('')}</g>
${bars(recording, cells, spanMs, TOP + mapHeight + GAP)}
</svg>
`;
}

function bars(recording: Recording, cells: Float64Array, spanMs: number, top: number): string {
  const perColumn = Array.from({ length: COLUMNS }, (_, column) => {
    let pages = 0;
    for (let row = 0; row < ROWS; row++) pages += cells[row * COLUMNS + column]!;
    return (pages * PAGE_SIZE_BYTES * 1000 * COLUMNS) / spanMs;
  });
  const most = Math.max(1, ...perColumn);
  const drawn = perColumn.map((rate, column) => {
    const height = (rate / most) * BARS;
    return `<rect x="${LEFT + column * CELL_WIDTH}" y="${top + BARS - height}" width="${CELL_WIDTH}" height="${height}"/>`;
  });
  const label = recording.sets.length === 0 ? 'nothing was written' : `up to ${formatRate(most)}`;
  return `<g fill="#3a6ea5">${drawn.join('')}</g><text x="${LEFT}" y="${top - 6}" fill="#46505c">written, a page once a set: ${escapeText(label)}</text>`;
}
