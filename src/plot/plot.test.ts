/** Axes and pictures: what stands where it should, and that what is shown is escaped. */

import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { lookOf, scatter, strips, ticksOf } from './index.ts';
import { logAxis } from './scale.ts';
import { element, text } from './svg.ts';

test('ticks are round, cover the range, and are as many as asked for at most', () => {
  assert.deepEqual(ticksOf(0, 10, 5), [0, 2, 4, 6, 8, 10]);
  assert.deepEqual(ticksOf(0, 0.7, 7), [0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7]);
  assert.deepEqual(ticksOf(3, 3), [3]);
  fc.assert(
    fc.property(
      fc.double({ min: 1e-6, max: 1e12, noNaN: true }),
      fc.integer({ min: 1, max: 10 }),
      (to, count) => {
        const ticks = ticksOf(0, to, count);
        assert.ok(ticks.length >= 1 && ticks.length <= count + 1, `${ticks}`);
        assert.ok(ticks[0] === 0 && ticks.at(-1)! <= to * (1 + 1e-9));
      },
    ),
  );
});

test('no dot lies outside its plot, and the bound has its label', () => {
  const rows = [
    { label: 'a', colour: 'red', note: '', points: [1, 5, 9].map((value) => ({ value, title: '' })) },
  ];
  const svg = strips({
    title: 't',
    unit: 's',
    rows,
    bound: { value: 2, label: 'bound 2' },
    band: null,
    from: 0,
  });
  const at = [...svg.matchAll(/cx="([\d.]+)"/g)].map((match) => Number(match[1]));
  assert.equal(at.length, 3);
  assert.ok(at.every((x) => x >= 150 && x <= 520) && at[0]! < at[1]! && at[1]! < at[2]!);
  assert.match(svg, /bound 2/);
});

test('a log axis spans its values, whatever their number, and names some of them', () => {
  const numbers = fc.array(fc.double({ min: 1e-3, max: 1e9, noNaN: true }), { minLength: 1, maxLength: 9 });
  fc.assert(
    fc.property(numbers, (values) => {
      const { scale, ticks } = logAxis(values, 100, 500);
      assert.ok(values.every((value) => scale(value) >= 100 && scale(value) <= 500));
      assert.ok(ticks.length > 0 && ticks.every((tick) => scale(tick) >= 99.9 && scale(tick) <= 500.1));
    }),
  );
});

test('medians are named once where they lie together, and runs are not', () => {
  const point = (label: string | null, x: number) => ({ x, y: 5, look: lookOf(0), title: '', label });
  const axes = { x: 'time', y: 'downtime', format: String };
  const svg = scatter([point(null, 1), point('a', 10), point('b', 10), point('c', 900)], [], axes);
  assert.match(svg, />a, b<\/text>/);
  assert.match(svg, />c<\/text>/);
  assert.equal(svg.match(/<circle/g)?.length, 4);
  assert.match(scatter([], [], axes), /no run completed/);
});

test('content and attributes are escaped; numbers are short, and null is left out', () => {
  assert.equal(text(1, 2.345678, '<&'), '<text x="1" y="2.35">&#60;&#38;</text>');
  assert.equal(element('g', { a: '"', b: null }), '<g a="&#34;"/>');
});
