import assert from 'node:assert/strict';
import test from 'node:test';
import { GodwitError } from '../base/index.ts';
import { readParameters, strategies, strategyByName } from './index.ts';

const NAMES =
  'adaptive frs mp precopy precopy-relaxed xen-classic xen-v2 hyperv vmotion ovirt proxmox nova kubevirt-ramp kubevirt-stall ' +
  'time-series hierarchical reorder-delta memory-rate three-stage postcopy auto-converge trace-replay checkpoint';

function refused(code: string, hint: RegExp, act: () => unknown): void {
  assert.throws(act, (error: unknown) => {
    assert.ok(error instanceof GodwitError);
    assert.equal(error.code, code);
    assert.match(error.hint ?? '', hint);
    return true;
  });
}

test('every strategy is found by its name, once', () => {
  assert.deepEqual(strategies.map((strategy) => strategy.name).sort(), NAMES.split(' ').sort());
  for (const strategy of strategies) assert.equal(strategyByName(strategy.name), strategy);
});

test('an unknown name is refused with the known ones', () => {
  refused('STRATEGY_UNKNOWN', /adaptive, frs, mp/, () => strategyByName('fastest'));
  refused('STRATEGY_UNKNOWN', /known/, () => strategyByName('toString'));
});

test('parameters are the defaults with the settings over them', () => {
  const frs = strategyByName('frs');
  assert.equal(readParameters(frs, [])['theta'], 3);
  assert.equal(
    readParameters(frs, ['theta=2', 'epsilon= 0.1', 'theta=4'])['theta'],
    4,
    'the last one counts',
  );
  assert.ok(Object.isFrozen(readParameters(frs, [])));
});

test('unknown names and values out of range are refused with what is allowed', () => {
  const frs = strategyByName('frs');
  refused('PARAMETER_UNKNOWN', /it has: theta, of/, () => readParameters(frs, ['speed=1']));
  refused('PARAMETER_UNKNOWN', /it has none/, () => readParameters(strategyByName('precopy'), ['speed=1']));
  refused('PARAMETER_UNKNOWN', /theta/, () => readParameters(frs, ['__proto__=1']));
  for (const setting of [
    'theta=9',
    'theta=0',
    'theta=',
    'theta',
    'theta=three',
    'theta=NaN',
    'theta=1e999',
  ]) {
    refused('PARAMETER_RANGE', /1 to 8 iterations; default 3/, () => readParameters(frs, [setting]));
  }
});
