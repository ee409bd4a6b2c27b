import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Command } from 'commander';
import { GIB, MIB } from '../../base/index.ts';
import { MIGRATE_DEFAULTS } from '../../controller/index.ts';
import { baselineTime, declareOptions, readDemoOptions } from './options.ts';

function read(...args: string[]) {
  const command = new Command().exitOverride();
  declareOptions(command);
  command.parse(args, { from: 'user' });
  return readDemoOptions(command.opts(), 64 * GIB);
}

test('the defaults make a guest that dirties more than its link carries', () => {
  const options = read();
  assert.equal(options.contestant.strategy.name, 'mp');
  assert.equal(options.contestant.downtimeLimitMs, MIGRATE_DEFAULTS.downtimeMsMax);
  assert.equal(options.linkBytesPerSecond, 25e6);
  assert.equal(options.memoryBytes, 256 * MIB);
  assert.equal(options.workload, 'uniform');
  // Distinct bytes of a uniform writer within a second: hot x (1 - exp(-writes / hot)).
  const distinct = options.hotBytes * (1 - Math.exp(-options.rateBytesPerSecond! / options.hotBytes));
  assert.ok(distinct >= 1.2 * options.linkBytesPerSecond, `${distinct} bytes a second`);
});

test('the hot set follows the link, but leaves half of a small guest alone', () => {
  assert.equal(read('--link', '400Mbit').hotBytes, 77 * MIB);
  assert.equal(read('--link', '10Gbit').hotBytes, 128 * MIB);
  assert.equal(read('--hot', '10M').hotBytes, 10 * MIB);
  assert.equal(read('--rate', 'max').rateBytesPerSecond, null);
});

test('QEMU carries its own strategies, and plain pre-copy is not run twice', () => {
  assert.equal(read('--strategy', 'precopy').contestant.baseline, 'qemu-precopy');
  assert.equal(read('--strategy', 'precopy').skipBaseline, true);
  const relaxed = read('--strategy', 'precopy-relaxed', '--param', 'doublings=4');
  assert.equal(relaxed.contestant.baseline, 'qemu-precopy-relaxed');
  assert.equal(relaxed.contestant.downtimeLimitMs, 4800);
  assert.equal(relaxed.skipBaseline, false);
  assert.equal(read('--strategy', 'frs').contestant.baseline, null);
});

test('parameters may be repeated', () => {
  const { parameters } = read('--strategy', 'frs', '--param', 'theta=2', '--param', 'of=5').contestant;
  assert.deepEqual([parameters['theta'], parameters['of']], [2, 5]);
});

test('what cannot be is refused before anything starts', () => {
  const refused = [
    ['--workload', 'fast'],
    ['--memory', '1M'],
    ['--memory', '64G'],
    ['--hot', '300M'],
    ['--link', '1'],
    ['--seed', '-1'],
    ['--seed', 'x'],
    ['--strategy', 'checkpoint'],
  ];
  for (const args of refused) assert.throws(() => read(...args), { code: 'USAGE_VALUE' }, args.join(' '));
  assert.throws(() => read('--strategy', 'best'), { code: 'STRATEGY_UNKNOWN' });
  assert.throws(() => read('--param', 'speed=1'), { code: 'PARAMETER_UNKNOWN' });
});

test("plain pre-copy gets the lab's time, or less where a demo would become too long", () => {
  assert.deepEqual(baselineTime(256 * MIB, 25e6), { timeLimitMs: 60_000, cellTimeLimitMs: 60_000 });
  const { timeLimitMs, cellTimeLimitMs } = baselineTime(GIB, 25e6);
  assert.equal(cellTimeLimitMs, Math.ceil((5 * GIB * 1000) / 25e6));
  assert.equal(timeLimitMs, 120_000);
  // At least two passes and a half, however long that takes.
  assert.equal(baselineTime(4 * GIB, 25e6).timeLimitMs, Math.ceil((2.5 * 4 * GIB * 1000) / 25e6));
});
