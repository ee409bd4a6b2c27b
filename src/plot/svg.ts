/** SVG as text, written by hand: a few elements, a picture within a page, and one that is a file. Pure. */

/** null: the attribute is left out. */
export type Attributes = Readonly<Record<string, string | number | null>>;

/** For the content and the attributes of HTML and SVG alike. */
export function escapeText(text: string): string {
  return text.replace(/[&<>"']/g, (character) => `&#${character.charCodeAt(0)};`);
}

/** `content` is markup. */
export function element(name: string, attributes: Attributes, content = ''): string {
  const written = Object.entries(attributes).map(([key, value]) =>
    value === null ? '' : ` ${key}="${typeof value === 'number' ? rounded(value) : escapeText(value)}"`,
  );
  const start = `<${name}${written.join('')}`;
  return content === '' ? `${start}/>` : `${start}>${content}</${name}>`;
}

/** Hundredths: opacities need them, and no eye sees less of a pixel. */
function rounded(value: number): number {
  return Math.round(value * 100) / 100;
}

export function line(x1: number, y1: number, x2: number, y2: number, attributes: Attributes): string {
  return element('line', { x1, y1, x2, y2, ...attributes });
}

export function rectangle(
  x: number,
  y: number,
  width: number,
  height: number,
  attributes: Attributes,
  content = '',
): string {
  return element('rect', { x, y, width, height, ...attributes }, content);
}

export function text(x: number, y: number, words: string, attributes: Attributes = {}): string {
  return element('text', { x, y, ...attributes }, escapeText(words));
}

/** What a pointer that rests on an element is told; '' where there is nothing to tell. */
export function hint(words: string): string {
  return words === '' ? '' : element('title', {}, escapeText(words));
}

export function group(attributes: Attributes, parts: readonly string[]): string {
  return element('g', attributes, parts.join(''));
}

/** The `d` of a path through these points, to a tenth: it has hundreds of them. */
export function polyline(points: readonly (readonly [number, number])[]): string {
  return points.map(([x, y], index) => `${index === 0 ? 'M' : 'L'}${x.toFixed(1)} ${y.toFixed(1)}`).join('');
}

/** A picture within a page, whose style it has. */
export function svg(width: number, height: number, title: string, parts: readonly string[]): string {
  return element(
    'svg',
    { viewBox: `0 0 ${width} ${height}`, role: 'img', 'aria-label': title },
    parts.join('\n'),
  );
}

export interface FileLook {
  readonly title: string;
  readonly paper: string;
  readonly fontFamily: string;
  readonly fontSize: number;
}

/** A picture that is a file of its own. */
export function svgFile(width: number, height: number, look: FileLook, parts: readonly string[]): string {
  const attributes = {
    xmlns: 'http://www.w3.org/2000/svg',
    viewBox: `0 0 ${width} ${height}`,
    'font-family': look.fontFamily,
    'font-size': look.fontSize,
    role: 'img',
    'aria-label': look.title,
  };
  const paper = rectangle(0, 0, width, height, { fill: look.paper });
  return `${element('svg', attributes, ['', paper, ...parts, ''].join('\n'))}\n`;
}
