/** A small part of `npm run model`: the small explorations, some mutations, and the document's tables. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { DOCUMENT, withTables } from './document.ts';
import { MUTATIONS } from './mutations.ts';
import { run, runMutation, SMALL } from './suites.ts';

const STATES_MIN = 300_000;

test('every order of a few crashes, losses and other clients’ acts keeps every promise', () => {
  let states = 0;
  for (const exploration of SMALL) {
    const explored = run(exploration);
    states += explored.states;
    assert.deepEqual(explored.violations, [], exploration.name);
  }
  // An exploration that ends early finds nothing either.
  assert.ok(states > STATES_MIN, `${states} states`);
});

test('a broken rule or law is caught', () => {
  assert.ok(MUTATIONS.length >= 12);
  for (const mutation of MUTATIONS.filter((_, index) => index % 3 === 0))
    assert.notEqual(runMutation(mutation), null, mutation.name);
});

test('docs/format/handover.md has the tables of the machine as it is', () => {
  const text = readFileSync(DOCUMENT, 'utf8');
  assert.equal(text, withTables(text), 'npm run model -- --table writes them anew');
});
