import assert from 'node:assert/strict';
import test from 'node:test';
import { GodwitError } from '../../base/index.ts';
import { strategies } from '../../strategy/index.ts';
import { COMMANDS } from '../commands.ts';
import { main } from '../main.ts';
import { runStrategies } from './strategies.ts';

function show(name: string | undefined, json: boolean, columns = 100): { code: number; text: string } {
  let text = '';
  const out = { columns, write: (part: string) => void (text += part) };
  return { code: runStrategies(name, { json }, out), text };
}

test('the list names every strategy with its rule and fits the terminal', () => {
  const { code, text } = show(undefined, false);
  assert.equal(code, 0);
  for (const strategy of strategies) {
    assert.match(text, new RegExp(`^${strategy.name} +${strategy.label} +${strategy.mechanism} `, 'm'));
  }
  for (const line of text.split('\n')) assert.ok(line.length <= 100, line);
});

test('one strategy is shown with its parameters and their ranges', () => {
  const { text } = show('frs', false);
  assert.match(text, /theta +3 +1 \.\. 8 +iterations/);
  assert.match(text, /promises +the downtime it predicts/);
  assert.match(show('precopy', false).text, /no parameters/);
});

test('--json is one object with parameters as data', () => {
  const all = JSON.parse(show(undefined, true).text);
  assert.equal(all.strategies.length, strategies.length);
  const one = JSON.parse(show('mp', true).text);
  assert.deepEqual(
    Object.keys(one.parameters[0]).sort(),
    ['default', 'max', 'meaning', 'min', 'name', 'source', 'unit'].sort(),
  );
});

test('an unknown name is refused with the known ones', () => {
  assert.throws(
    () => show('fastest', false),
    (error: unknown) => error instanceof GodwitError && error.code === 'STRATEGY_UNKNOWN',
  );
});

test('the command line reaches it', async () => {
  let text = '';
  const out = { write: (part: string) => void (text += part) };
  assert.equal(await main(['strategies', 'frs', '--json'], { out, err: out, commands: COMMANDS }), 0);
  assert.equal(JSON.parse(text).name, 'frs');
});
