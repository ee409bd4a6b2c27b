/**
 * Aligned plain-text tables, measured in terminal columns. Not responsible for colour beyond measuring around
 * it.
 */

import { stripVTControlCharacters } from 'node:util';

export interface Column {
  readonly title: string;
  /** Numbers are read right-aligned. */
  readonly align?: 'left' | 'right';
}

/** Null is what is not known; it prints as a dash, never as 0. */
export type Cell = string | number | null;

const UNKNOWN = '\u2013';

/** The table's lines: a header, a rule, then the rows. A row that is too short is filled with dashes. */
export function formatTable(columns: readonly Column[], rows: readonly (readonly Cell[])[]): string[] {
  const texts = rows.map((row) => columns.map((_, index) => cellText(row[index])));
  const widths = columns.map((column, index) =>
    Math.max(displayWidth(column.title), ...texts.map((row) => displayWidth(row[index]!))),
  );
  const line = (cells: readonly string[]) =>
    cells
      .map((cell, index) => pad(cell, widths[index]!, columns[index]!.align ?? 'left'))
      .join('  ')
      .trimEnd();
  return [
    line(columns.map((column) => column.title)),
    widths.map((width) => '\u2500'.repeat(width)).join('  '),
    ...texts.map(line),
  ];
}

function cellText(cell: Cell | undefined): string {
  return cell === null || cell === undefined ? UNKNOWN : String(cell);
}

export function pad(text: string, width: number, align: 'left' | 'right' = 'left'): string {
  const gap = ' '.repeat(Math.max(0, width - displayWidth(text)));
  return align === 'left' ? text + gap : gap + text;
}

const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });

/**
 * Columns a terminal gives to `text`: East Asian and emoji graphemes take two, combining marks and colours
 * none.
 */
export function displayWidth(text: string): number {
  const plain = stripVTControlCharacters(text);
  if (/^[\x20-\x7e]*$/.test(plain)) return plain.length;
  let width = 0;
  for (const { segment } of segmenter.segment(plain)) width += graphemeWidth(segment);
  return width;
}

function graphemeWidth(grapheme: string): number {
  if (/^(?:\p{Mark}|\p{Format})+$/u.test(grapheme)) return 0;
  if (/\p{Emoji_Presentation}|\ufe0f/u.test(grapheme)) return 2;
  return isWide(grapheme.codePointAt(0)!) ? 2 : 1;
}

/** Unicode's East Asian Width W and F, in blocks: UAX #11. */
function isWide(codePoint: number): boolean {
  return (
    (codePoint >= 0x1100 && codePoint <= 0x115f) ||
    (codePoint >= 0x2e80 && codePoint <= 0x303e) ||
    (codePoint >= 0x3041 && codePoint <= 0xa4cf) ||
    (codePoint >= 0xa960 && codePoint <= 0xa97c) ||
    (codePoint >= 0xac00 && codePoint <= 0xd7a3) ||
    (codePoint >= 0xf900 && codePoint <= 0xfaff) ||
    (codePoint >= 0xfe30 && codePoint <= 0xfe6f) ||
    (codePoint >= 0xff01 && codePoint <= 0xff60) ||
    (codePoint >= 0xffe0 && codePoint <= 0xffe6) ||
    (codePoint >= 0x20000 && codePoint <= 0x3fffd)
  );
}

/**
 * The text cut to `width` columns, with an ellipsis where something is missing. Colours are dropped with the
 * cut.
 */
export function truncate(text: string, width: number): string {
  if (displayWidth(text) <= width) return text;
  if (width <= 0) return '';
  let kept = '';
  let used = 0;
  for (const { segment } of segmenter.segment(stripVTControlCharacters(text))) {
    const next = graphemeWidth(segment);
    if (used + next > width - 1) break;
    kept += segment;
    used += next;
  }
  return `${kept}\u2026`;
}
