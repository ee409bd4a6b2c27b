export { type BoxRow, boxes } from './boxes.ts';
export { course } from './course.ts';
export { type Look, lookOf, swatch } from './look.ts';
export { linearScale, type Scale, ticksOf } from './scale.ts';
export { type BoundLine, type Point, scatter } from './scatter.ts';
export { type StripRow, strips } from './strips.ts';
export { element, escapeText, group, hint, line, polyline, rectangle, svgFile, text } from './svg.ts';
