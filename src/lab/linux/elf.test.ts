/** Needs of real programs of this machine, and of files that are none. */

import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import test from 'node:test';
import { GUEST_BINARY_PATH } from '../guest/index.ts';
import { elfNeeds } from './elf.ts';

test('node itself names its loader and the C library', () => {
  const needs = elfNeeds(readFileSync(process.execPath));
  assert.match(needs?.interpreter ?? '', /^\/lib.*ld-/);
  assert.ok(
    needs?.libraries.some((name) => /^libc\.so/.test(name)),
    String(needs?.libraries),
  );
  assert.ok(needs?.libraries.every((name) => /^[\w+.-]+\.so[\w.-]*$/.test(name)));
});

test('the bare guest needs nothing; text and short files are no programs', () => {
  const bare = elfNeeds(readFileSync(GUEST_BINARY_PATH));
  assert.ok(bare === null || (bare.interpreter === null && bare.libraries.length === 0));
  assert.equal(elfNeeds(Buffer.from('#!/bin/sh\n')), null);
  assert.equal(elfNeeds(new Uint8Array(10)), null);
});
