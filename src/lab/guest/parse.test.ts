import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { GUEST_DEFAULTS, GUEST_LINE_MAX, GuestLineParser, guestCommandLine, isSound } from './index.ts';

const output =
  'G boot pages=16023\n' +
  'G ready workload=zipf body=text seed=7 pages=16023 filled=16000 fillat=23 hot=8192 hotat=3 rate=0 beat=10 zipf=990 busy=1 quiet=2 ' +
  'disk=1 diskrate=20 disklog=1048576 facts=1114112 fillms=55\n' +
  'H 1 56 0 0\nH 2 66 10\n' +
  'V 16023 0 -1 e1aacd145fd04045 0 1\nV 16023 2 5 e1aacd145fd04045 1 0\n' +
  'S stopped 10\r\nE disk read failed sequence=3 status=1\nH 3 x 4\n';

test('each kind of line becomes its value', () => {
  const lines = new GuestLineParser().push(output);
  assert.deepEqual(
    lines.map((line) => line.kind),
    ['boot', 'ready', 'heartbeat', 'heartbeat', 'verification', 'verification', 'state', 'error', 'noise'],
  );
  const [, ready, withDisk, without, sound, unsound, state] = lines;
  assert.ok(ready?.kind === 'ready');
  assert.deepEqual([ready.workload, ready.body, ready.seed, ready.hotAtPage], ['zipf', 'text', 7, 3]);
  assert.deepEqual([ready.rateBytesPerSecond, ready.zipfExponent, ready.disk], [null, 0.99, true]);
  assert.deepEqual(withDisk, {
    kind: 'heartbeat',
    counter: 1,
    guestMs: 56,
    pagesWritten: 0,
    diskSequence: 0,
  });
  assert.ok(without?.kind === 'heartbeat' && without.diskSequence === null);
  assert.ok(sound?.kind === 'verification' && sound.firstBadPage === null && isSound(sound));
  assert.ok(unsound?.kind === 'verification' && unsound.firstBadPage === 5 && !isSound(unsound));
  assert.deepEqual(state, { kind: 'state', state: 'stopped', pagesWritten: 10 });
});

test('any chunking gives the same lines', () => {
  const whole = new GuestLineParser().push(output);
  fc.assert(
    fc.property(fc.array(fc.nat(output.length)), (cuts) => {
      const parser = new GuestLineParser();
      const places = [0, ...cuts.sort((left, right) => left - right), output.length];
      const lines = places.slice(1).flatMap((end, at) => parser.push(output.slice(places[at], end)));
      assert.deepEqual(lines, whole);
    }),
  );
});

test('a line cut by the move is whole when the destination carries on where the source stopped', () => {
  const source = new GuestLineParser();
  assert.deepEqual(source.push('H 12 34'), []);
  const destination = new GuestLineParser(source.carry);
  assert.deepEqual(destination.push('5 678\n'), [
    { kind: 'heartbeat', counter: 12, guestMs: 345, pagesWritten: 678, diskSequence: null },
  ]);
  assert.equal(new GuestLineParser().push('5 678\n')[0]?.kind, 'noise');
});

test('a sender that never ends a line cannot fill memory', () => {
  const parser = new GuestLineParser();
  for (let round = 0; round < 10; round++) parser.push('x'.repeat(GUEST_LINE_MAX));
  assert.ok(parser.carry.length <= GUEST_LINE_MAX);
});

test('a truncated verdict is no verdict, and a ready line without its last value is noise', () => {
  for (const line of output.trim().split('\n')) {
    const last = line.startsWith('G ready') ? line.indexOf('fillms=') + 'fillms='.length : line.length - 1;
    for (let end = 0; end <= last; end++) {
      const [parsed] = new GuestLineParser().push(`${line.slice(0, end)}\n`);
      assert.ok(parsed === undefined || (parsed.kind !== 'ready' && parsed.kind !== 'verification'), line);
    }
  }
});

test('the command line names every option and refuses what the guest would refuse', () => {
  assert.equal(
    guestCommandLine({ workload: 'mixed', hotBytes: 100 * 1024 * 1024, zipfExponent: 1.2 }),
    '-- workload=mixed body=text memory=all fill=all fillat=0 hot=104857600 hotat=0 rate=max seed=1 zipf=1.200 ' +
      'busy=2000 quiet=2000 beat=10 disk=0 diskrate=20 disklog=1048576',
  );
  for (const wrong of [{ seed: -1 }, { zipfExponent: 2.1 }, { beatMs: 0 }, { hotBytes: 1.5 }]) {
    assert.throws(() => guestCommandLine(wrong), { code: 'USAGE_VALUE' });
  }
  assert.equal(GUEST_DEFAULTS.beatMs, 10);
});
