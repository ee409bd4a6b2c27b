import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { displayWidth, formatTable, pad, truncate } from './table.ts';

test('columns align, numbers to the right, and unknown is a dash', () => {
  const lines = formatTable(
    [{ title: 'strategy' }, { title: 'downtime', align: 'right' }],
    [
      ['frs', '1.62 s'],
      ['precopy-relaxed', 240],
      ['mp', null],
    ],
  );
  assert.deepEqual(lines, [
    'strategy         downtime',
    '───────────────  ────────',
    'frs                1.62 s',
    'precopy-relaxed       240',
    'mp                      –',
  ]);
});

test('a short row is filled, a table of nothing is its header', () => {
  assert.deepEqual(formatTable([{ title: 'a' }, { title: 'b' }], [['x']]).at(-1), 'x  –');
  assert.equal(formatTable([{ title: 'a' }], []).length, 2);
});

test('width is counted in terminal columns', () => {
  assert.equal(displayWidth('abc'), 3);
  assert.equal(displayWidth('日本'), 4);
  assert.equal(displayWidth('e\u0301'), 1);
  assert.equal(displayWidth('👩‍👩‍👧'), 2);
  assert.equal(displayWidth('\u001b[31mred\u001b[39m'), 3);
  assert.equal(displayWidth('█░'), 2);
});

test('lines of a table are equally wide, whatever the text', () => {
  fc.assert(
    fc.property(
      fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' }))),
      (rows) => {
        const clean = rows.map((row) => row.map((cell) => cell.replace(/\p{Cc}/gu, '')));
        const width = displayWidth(formatTable([{ title: 'a' }, { title: 'b', align: 'right' }], clean)[1]!);
        for (const line of formatTable([{ title: 'a' }, { title: 'b', align: 'right' }], clean)) {
          assert.ok(displayWidth(line) <= width);
        }
      },
    ),
  );
});

test('a cut text fits and says that it is cut', () => {
  assert.equal(truncate('abcdef', 4), 'abc…');
  assert.equal(truncate('abc', 3), 'abc');
  assert.equal(truncate('日本語', 4), '日…');
  assert.equal(truncate('abc', 0), '');
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme' }), fc.nat(30), (text, width) => {
      assert.ok(displayWidth(truncate(text, width)) <= width);
    }),
  );
  assert.equal(pad('日', 4, 'right'), '  日');
});
