/** Names beside marks, so that none lies upon another. Pure. */

import { text } from './svg.ts';

const LABEL_HEIGHT = 12;
const LABEL_GAP = 9;
const CHARACTER_WIDTH = 6.2;
/** Marks closer than this share a label, which names so many of them. */
const NEAR = 9;
const NAMES_MAX = 2;

export interface Named {
  readonly x: number;
  readonly y: number;
  readonly name: string;
}

/** Marks that lie close together share a label. */
export function labels(marks: readonly Named[], width: number): string[] {
  return placed(clustered(marks), width);
}

function clustered(marks: readonly Named[]): Named[] {
  const clusters: { x: number; y: number; names: string[] }[] = [];
  for (const { name, x, y } of marks) {
    const near = clusters.find((cluster) => Math.abs(cluster.x - x) < NEAR && Math.abs(cluster.y - y) < NEAR);
    if (near) near.names.push(name);
    else clusters.push({ x, y, names: [name] });
  }
  return clusters.map(({ x, y, names }) => {
    const more = names.length > NAMES_MAX ? ` +${names.length - NAMES_MAX}` : '';
    return { x, y, name: names.slice(0, NAMES_MAX).join(', ') + more };
  });
}

/** Labels stand right of their marks, pushed down where they would lie upon each other. */
function placed(named: readonly Named[], width: number): string[] {
  const taken: { x: number; y: number; width: number }[] = [];
  return [...named]
    .sort((one, other) => one.y - other.y)
    .map(({ x, y, name }) => {
      const nameWidth = name.length * CHARACTER_WIDTH;
      // At the right edge a label stands left of its mark.
      const left = x + LABEL_GAP + nameWidth > width ? x - LABEL_GAP - nameWidth : x + LABEL_GAP;
      let labelY = y + 4;
      const hits = (other: { x: number; y: number; width: number }) =>
        Math.abs(other.y - labelY) < LABEL_HEIGHT &&
        left < other.x + other.width &&
        other.x < left + nameWidth;
      while (taken.some(hits)) labelY += 2;
      taken.push({ x: left, y: labelY, width: nameWidth });
      return text(left, labelY, name, { class: 'name' });
    });
}
