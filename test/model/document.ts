/** docs/format/handover.md with the tables that the machine gives. */

import { join } from 'node:path';
import { Table } from './table.ts';

export const DOCUMENT = join(import.meta.dirname, '../../docs/format/handover.md');

/** `text` with what stands between each pair of marks made anew. */
export function withTables(text: string): string {
  const table = new Table();
  return between(between(text, 'losses', table.losses()), 'looks', table.looks());
}

function between(text: string, name: string, lines: readonly string[]): string {
  const [begin, end] = [`<!-- ${name} -->`, `<!-- end of ${name} -->`];
  const [from, to] = [text.indexOf(begin), text.indexOf(end)];
  if (from === -1 || to < from) throw new Error(`docs/format/handover.md has no place for the ${name}`);
  return `${text.slice(0, from + begin.length)}\n${lines.join('\n').trim()}\n${text.slice(to)}`;
}
