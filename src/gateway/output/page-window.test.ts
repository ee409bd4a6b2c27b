/** What may be under way follows what the far side has said. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { PageWindow } from './page-window.ts';

test('a far side that does not tell sets no limit', () => {
  assert.equal(new PageWindow().roomPages(0, 1e9, null), Number.POSITIVE_INFINITY);
});

test('a slow far side is given the least, however small the pages are on the link', () => {
  const window = new PageWindow();
  for (let nowMs = 0; nowMs <= 1000; nowMs += 10) window.noteApplied(nowMs, nowMs * 10);
  assert.equal(window.roomPages(1000, 10_000, 0), 2048);
  assert.equal(window.roomPages(1000, 12_000, 0), 48);
  assert.equal(window.roomPages(1000, 20_000, 0), 0);
});

test('what a far side can apply follows from the most it was seen to, and is never below what any can', () => {
  const window = new PageWindow();
  assert.equal(window.appliedPagesPerSecondMax, null);
  for (let nowMs = 0; nowMs <= 1000; nowMs += 10) window.noteApplied(nowMs, nowMs * 10);
  assert.equal(window.appliedPagesPerSecondMax, 200_000);
  for (let nowMs = 1010; nowMs <= 1500; nowMs += 10) window.noteApplied(nowMs, 10_000 + (nowMs - 1000) * 400);
  for (let nowMs = 1510; nowMs <= 2500; nowMs += 10) window.noteApplied(nowMs, 210_000 + (nowMs - 1500));
  assert.equal(Math.round(window.appliedPagesPerSecondMax!), 400_000);
});

test('while all waits for the far side, what it applies is what it can, however little that is', () => {
  const window = new PageWindow();
  for (let nowMs = 0; nowMs <= 1000; nowMs += 10) {
    window.noteApplied(nowMs, nowMs * 50);
    assert.equal(window.roomPages(nowMs, nowMs * 50 + 20_000, 0), 0);
  }
  assert.equal(Math.round(window.appliedPagesPerSecondMax!), 50_000);
});

test('what is handed over and not loaded is known once the far side tells', () => {
  const window = new PageWindow();
  assert.equal(window.unloadedPages(500), undefined);
  window.noteApplied(0, 400);
  assert.equal(window.unloadedPages(500), 100);
});

test('a fast one, or one far away, is given what it applies meanwhile', () => {
  const window = new PageWindow();
  for (let nowMs = 0; nowMs <= 3000; nowMs += 10) window.noteApplied(nowMs, nowMs * 100);
  const near = window.roomPages(3000, 300_000, 0);
  assert.ok(near > 5500 && near < 6500, String(near));
  const far = window.roomPages(3000, 300_000, 100);
  assert.ok(far > 15_000 && far < 17_000, String(far));
});

test('after a second of silence it stops nobody; a figure that goes back changes nothing', () => {
  const window = new PageWindow();
  window.noteApplied(0, 5000);
  window.noteApplied(10, 4000);
  assert.equal(window.roomPages(500, 7048, 0), 0);
  assert.equal(window.roomPages(1200, 7048, 0), Number.POSITIVE_INFINITY);
  assert.equal(window.roomPages(1200, 5000, 0), 2048);
});
