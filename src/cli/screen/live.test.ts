import assert from 'node:assert/strict';
import test from 'node:test';
import { VirtualClock } from '../../base/index.ts';
import { liveView } from './live.ts';

function sink(isTTY: boolean) {
  const writes: string[] = [];
  return { isTTY, columns: 12, write: (text: string) => writes.push(text), writes };
}

const ESCAPE = '\u001b';

/** What a terminal shows after these writes: only the codes that the view uses. */
function screen(writes: readonly string[]): string[] {
  const codes = new RegExp(`(${ESCAPE}\\[\\d+A|${ESCAPE}\\[0J|\\r|\\n)`);
  let lines: string[] = [''];
  for (const part of writes.join('').split(codes)) {
    const up = new RegExp(`^${ESCAPE}\\[(\\d+)A$`).exec(part);
    if (up) lines = lines.slice(0, lines.length - Number(up[1]));
    else if (part === '\r' || part === '\u001b[0J') lines[lines.length - 1] = '';
    else if (part === '\n') lines.push('');
    else lines[lines.length - 1] += part;
  }
  return lines.slice(0, -1);
}

test('on a terminal the block is redrawn in place, logs stay above it', () => {
  const [output, clock] = [sink(true), new VirtualClock()];
  const view = liveView(output, clock);
  view.update(['iteration 1', 'sent 1']);
  clock.advanceMs(200);
  view.update(['iteration 2', 'sent 2']);
  assert.deepEqual(screen(output.writes), ['iteration 2', 'sent 2']);
  view.log('a warning');
  clock.advanceMs(200);
  view.update(['iteration 3']);
  assert.deepEqual(screen(output.writes), ['a warning', 'iteration 3']);
});

test('a terminal is not redrawn faster than the eye, but the last block is never lost', () => {
  const [output, clock] = [sink(true), new VirtualClock()];
  const view = liveView(output, clock);
  for (let step = 0; step <= 50; step++) view.update([`step ${step}`]);
  assert.equal(output.writes.length, 1);
  view.close();
  assert.deepEqual(screen(output.writes), ['step 50']);
});

test('a line is cut to the terminal: a wrapped one would spoil the count of lines', () => {
  const output = sink(true);
  liveView(output, new VirtualClock()).update(['a line that is much too long']);
  assert.deepEqual(screen(output.writes), ['a line tha…']);
});

test('without a terminal: plain lines, seldom, and the last one', () => {
  const [output, clock] = [sink(false), new VirtualClock()];
  const view = liveView(output, clock);
  for (let second = 0; second < 12; second++) {
    view.update([`second ${second}`, 'details']);
    clock.advanceMs(1000);
  }
  view.log('a warning');
  view.close();
  assert.deepEqual(output.writes, ['second 0\n', 'second 5\n', 'second 10\n', 'a warning\n', 'second 11\n']);
});
