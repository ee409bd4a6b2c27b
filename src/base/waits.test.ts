import assert from 'node:assert/strict';
import test from 'node:test';
import { orAborted, timeoutSignal, within } from './waits.ts';

const never = new Promise<never>(() => undefined);
const late = () => new RangeError('late');

test('what settles in time settles as it is', async () => {
  const { signal } = new AbortController();
  assert.equal(await within(Promise.resolve(7), 60_000, late), 7);
  assert.equal(await orAborted(Promise.resolve(7), signal), 7);
  await assert.rejects(within(Promise.reject(new TypeError('own')), 60_000, late), TypeError);
  await assert.rejects(orAborted(Promise.reject(new TypeError('own')), signal), TypeError);
});

test('what does not settle ends with the error asked for, or the reason of the signal', async () => {
  await assert.rejects(within(never, 1, late), RangeError);
  const asked = new AbortController();
  const ended = orAborted(never, asked.signal);
  asked.abort(new TypeError('cancelled'));
  await assert.rejects(ended, TypeError);
  await assert.rejects(orAborted(never, asked.signal), TypeError);
});

test('a time that is left over may have fractions', () => {
  assert.equal(timeoutSignal(0.5).aborted, false);
});
