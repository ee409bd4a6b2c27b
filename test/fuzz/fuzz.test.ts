/**
 * The fuzzer finds what is planted for it; and every target, for some seeded inputs without guidance.
 * Longer: npm run fuzz.
 */

import assert from 'node:assert/strict';
import test from 'node:test';
import { Prng } from '../../src/base/index.ts';
import { explore } from './explore.ts';
import { mutateBytes, mutateJson, mutateJsonLine } from './mutate.ts';
import { runTarget } from './target.ts';
import { TARGETS, targetByName } from './targets/index.ts';
import { watchTarget } from './watch.ts';

/** Inputs of each target here; those that boot a socket or read recordings are slow. */
const INPUTS = 192;
const INPUTS_SLOW = 64;
const SLOW = new Set([
  'stream',
  'inspect',
  'batch',
  'qmp-greeting',
  'control-replies',
  'qmp-replies',
  'sweep-ranges',
]);

for (const target of TARGETS) {
  test(`${target.name}: seeded inputs are taken or refused as documented`, async () => {
    const limit = SLOW.has(target.name) ? INPUTS_SLOW : INPUTS;
    const { inputs, findings } = await explore(target, {
      seed: 7,
      coverage: null,
      goesOn: (done) => done < limit,
    });
    assert.ok(inputs >= limit);
    assert.deepEqual(
      findings.map(({ signature, text }) => `${signature}\n${text}`),
      [],
    );
  });
}

/**
 * One input in 16 million by chance. Coverage leads there byte by byte; the bound is on inputs, not on time.
 */
test('coverage leads to a fault behind three exact bytes, and the input that is told fails again', async () => {
  const { findings } = await watchTarget({
    target: 'planted-error',
    seed: 1,
    inputsMax: 150_000,
    milliseconds: 100_000,
  });
  assert.deepEqual(
    findings.map(({ kind }) => kind),
    ['error'],
  );
  const [found] = findings;
  assert.deepEqual([...found!.input], [0x71, 0x9d, 0x03], 'shrunk to what matters');
  const again = await runTarget(targetByName('planted-error'), found!.input);
  assert.equal(again?.signature, found!.signature);
  const blind = { seed: 1, coverage: null, goesOn: (inputs: number) => inputs < 150_000 };
  assert.deepEqual((await explore(targetByName('planted-error'), blind)).findings, []);
});

test('an endless loop is a finding, with its input', async () => {
  const { findings } = await watchTarget({
    target: 'planted-hang',
    seed: 1,
    milliseconds: 100_000,
    hangCpuMs: 300,
    restartsMax: 0,
  });
  assert.equal(findings[0]?.kind, 'hang');
  assert.equal(findings[0]?.input[0], 0x42);
});

test('memory without end is a finding, with its input', async () => {
  const { findings } = await watchTarget({
    target: 'planted-memory',
    seed: 1,
    milliseconds: 100_000,
    memoryBytesMax: 256 * 2 ** 20,
    restartsMax: 0,
  });
  assert.equal(findings[0]?.kind, 'memory');
  assert.equal(findings[0]?.input[0], 0x42);
});

test('a foreign error, a foreign code and a promise that rejects are findings; a documented code is none', async () => {
  const base = targetByName('planted-error');
  const ends = [
    () => {
      throw new RangeError('x');
    },
    () => Promise.reject(new TypeError('y')),
    () => {
      throw 'text';
    },
  ];
  for (const run of ends) assert.equal((await runTarget({ ...base, run }, new Uint8Array(1)))?.kind, 'error');
  const trace = targetByName('trace');
  assert.equal(await runTarget(trace, Buffer.from('no trace')), null);
  assert.equal((await runTarget({ ...trace, codes: /^OTHER_/ }, Buffer.from('no trace')))?.kind, 'error');
});

test('mutation repeats for a seed, and JSON that is changed by its tree is JSON still', () => {
  const bytes = Buffer.from('{"a":{"b":[1,2,{"c":null}]},"d":"e"}');
  const changed = (seed: number) => Buffer.from(mutateBytes(bytes, bytes, new Prng(seed), ['x']));
  const different = new Set<string>();
  for (let seed = 1; seed <= 200; seed++) {
    assert.deepEqual(changed(seed), changed(seed));
    const line = mutateJsonLine(bytes, new Prng(seed));
    for (const part of String(line).split('\n')) JSON.parse(part);
    different.add(String(mutateJson(bytes, new Prng(seed))));
  }
  assert.ok(different.size > 100, `${different.size} different ones`);
  assert.equal(mutateJsonLine(Buffer.from('no JSON'), new Prng(1)), null);
});
