import assert from 'node:assert/strict';
import test from 'node:test';
import { stripVTControlCharacters } from 'node:util';
import { GodwitError } from '../../base/index.ts';
import { EXIT, exitCodeOf } from '../exit.ts';
import { columnsOf, describeError, painter, printable, renderError, wantsColour } from './output.ts';

function sink(isTTY = false) {
  let text = '';
  return { isTTY, columns: 60, write: (more: string) => (text += more), text: () => text };
}

const lost = new GodwitError('GATE_LOST', 'QEMU stopped uninvited', {
  safe: 'the source VM is running',
  hint: 'try again later',
  fields: { backlogBytes: 7 },
  cause: new Error('socket closed', { cause: 'reset' }),
});

test('a terminal that does not know its width has 80 columns', () => {
  assert.deepEqual(
    [0, undefined, 60].map((columns) => columnsOf({ ...sink(), columns: columns as number })),
    [80, 80, 60],
  );
  assert.deepEqual(
    [columnsOf({ write: () => undefined }, 100), columnsOf({ ...sink(), columns: 0 }, 100)],
    [100, 80],
  );
});

test('an error says what happened, why, what is safe and what to do', () => {
  const [out, err] = [sink(), sink()];
  assert.equal(renderError(lost, { out, err, json: false }), EXIT.failed);
  assert.equal(out.text(), '');
  assert.equal(
    err.text(),
    [
      'error [GATE_LOST] QEMU stopped uninvited',
      '  because  socket closed',
      '  because  reset',
      '  safe     the source VM is running',
      '  to do    try again later',
      '',
    ].join('\n'),
  );
});

test('with --json the error is one line where the result would have been', () => {
  const [out, err] = [sink(), sink()];
  renderError(lost, { out, err, json: true });
  assert.equal(err.text(), '');
  assert.equal(out.text().indexOf('\n'), out.text().length - 1);
  const parsed = JSON.parse(out.text());
  assert.equal(parsed.success, false);
  assert.deepEqual(parsed.error.fields, { backlogBytes: 7 });
  assert.equal(parsed.error.code, 'GATE_LOST');
});

test('exit code 2 says that nothing was touched, whoever found the mistake', () => {
  const err = sink();
  renderError(new GodwitError('USAGE_VALUE', '"64Q" is not a size'), { out: sink(), err, json: false });
  assert.match(err.text(), /safe +nothing was started or changed/);
});

test('each kind of failure has its exit code', () => {
  const codes = [
    'GATE_LOST',
    'USAGE_VALUE',
    'PARAMETER_RANGE',
    'IN_DOUBT',
    'HANDOVER_IN_DOUBT',
    'INTERRUPTED',
  ];
  assert.deepEqual(
    codes.map((code) => exitCodeOf(new GodwitError(code, ''))),
    [1, 2, 2, 3, 3, 130],
  );
  const missing = Object.assign(new Error('ENOENT'), { code: 'ENOENT', syscall: 'open' });
  assert.equal(exitCodeOf(missing), EXIT.failed);
  assert.equal(exitCodeOf(new TypeError('x is undefined')), EXIT.internal);
  assert.equal(exitCodeOf('thrown text'), EXIT.internal);
});

test('a bug shows its stack and asks for a report; an endless chain of causes ends', () => {
  const err = sink();
  renderError(new TypeError('x is undefined'), { out: sink(), err, json: false });
  assert.match(err.text(), /\[INTERNAL\] x is undefined\n\s+at /);
  assert.match(err.text(), /report it/);
  const loop = new Error('round');
  loop.cause = loop;
  assert.equal(describeError(loop).error.causes.length, 8);
});

test('text from outside cannot drive the terminal', () => {
  assert.equal(printable('a\u001b[2Jb\u0007c\rd\ne\tf'), 'ab\ufffdc\ufffdd\ne\tf');
  const err = sink();
  renderError(new GodwitError('X_Y', 'evil \u001b]0;title\u0007'), { out: sink(), err, json: false });
  assert.ok(!err.text().includes('\u001b'));
});

test('colour only on a terminal that wants it', () => {
  assert.equal(wantsColour(sink(true), {}), true);
  assert.equal(wantsColour(sink(false), {}), false);
  assert.equal(wantsColour(sink(true), { NO_COLOR: '1' }), false);
  assert.equal(wantsColour(sink(true), { NO_COLOR: '' }), true); // no-color.org: "when present and not empty"
  assert.equal(wantsColour(sink(true), { TERM: 'dumb' }), false);
  assert.equal(painter(false)('red', 'x'), 'x');
  assert.equal(stripVTControlCharacters(painter(true)('red', 'x')), 'x');
});
