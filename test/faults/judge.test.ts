import assert from 'node:assert/strict';
import test from 'node:test';
import type { Ended } from './command.ts';
import { type Evidence, judge } from './judge.ts';
import type { Look } from './watch.ts';

const RUNS = { state: 'running', beats: true };
const STANDS = { state: 'paused', beats: false };
const LEFT = { state: 'postmigrate', beats: false };
const GONE = { state: 'gone', beats: false };
const STAYED: Look = { source: RUNS, destination: GONE };
const MOVED: Look = { source: LEFT, destination: RUNS };
const NOWHERE: Look = { source: { state: 'paused', beats: false }, destination: STANDS };

function ended(code: number | null, out = ''): Ended {
  return { code, signal: code === null ? 'SIGKILL' : null, out, err: '' };
}

const DOUBT = ended(3, 'in doubt: boot the VM from its disk');

function evidence(code: number | null, look: Look, more: Partial<Evidence> = {}): Evidence {
  return {
    fault: { seed: 1, index: 0, kind: 'none', arrangement: 'single', step: 'stopped', afterMs: 0 },
    allows: {},
    wasPaused: false,
    ended: ended(code),
    mayEndBySignal: false,
    others: [],
    killed: new Set(),
    mustNotRun: new Set(),
    first: look,
    resolved: [],
    last: look,
    told: [],
    again: null,
    overlaps: [],
    memory: null,
    settingsRestored: null,
    complaints: [],
    left: [],
    ...more,
  };
}

const counters = (facts: Evidence) => [...new Set(judge(facts).map(({ counter }) => counter))];

test('a VM that stayed and one that moved are fine, told rightly', () => {
  assert.deepEqual(counters(evidence(1, STAYED)), []);
  assert.deepEqual(counters(evidence(130, STAYED)), []);
  assert.deepEqual(counters(evidence(0, MOVED)), []);
  assert.deepEqual(counters(evidence(null, STAYED, { mayEndBySignal: true })), []);
});

test('an exit code that says where the VM is not', () => {
  assert.deepEqual(counters(evidence(1, MOVED)), ['wrongExit']);
  assert.deepEqual(counters(evidence(0, { source: RUNS, destination: STANDS })), ['wrongExit']);
  assert.deepEqual(counters(evidence(70, STAYED)), ['wrongExit']);
  assert.deepEqual(counters(evidence(null, STAYED)), ['wrongExit']);
  assert.deepEqual(counters(evidence(3, STAYED)), ['wrongExit'], 'in doubt although all can be asked');
  assert.deepEqual(counters(evidence(3, STAYED, { allows: { doubt: true } })), []);
  assert.deepEqual(counters(evidence(0, MOVED, { allows: { noCommit: true } })), ['wrongExit']);
});

test('two copies: by state, by heartbeat alone, by events meanwhile', () => {
  assert.ok(counters(evidence(0, { source: RUNS, destination: RUNS })).includes('doubled'));
  const beats = { source: { state: 'silent', beats: true }, destination: RUNS };
  assert.ok(counters(evidence(0, beats)).includes('doubled'));
  const overlaps = ['the source started while the destination ran'];
  assert.deepEqual(counters(evidence(1, STAYED, { overlaps })), ['doubled']);
  assert.deepEqual(counters(evidence(1, STAYED, { overlaps, allows: { overlap: true } })), []);
  assert.deepEqual(counters(evidence(1, STAYED, { mustNotRun: new Set(['source']) })), ['doubled']);
});

test('a VM that runs nowhere is lost, unless its QEMU was killed and the operator is told', () => {
  assert.ok(counters(evidence(1, NOWHERE)).includes('lost'));
  const killed = new Set(['destination'] as const);
  const look: Look = { source: LEFT, destination: GONE };
  const told = { killed, resolved: [{ of: 'list', ended: DOUBT }], allows: { doubt: true } };
  assert.deepEqual(counters(evidence(3, look, told)), []);
  assert.ok(counters(evidence(1, look, { killed })).includes('lost'));
});

test('a VM whose owner stopped it need not run, but must be there', () => {
  const allows = { stopped: true };
  assert.deepEqual(counters(evidence(1, { source: STANDS, destination: GONE }, { allows })), []);
  assert.ok(counters(evidence(1, { source: GONE, destination: GONE }, { allows })).includes('lost'));
});

test('damaged memory is a lost VM', () => {
  assert.deepEqual(counters(evidence(0, MOVED, { memory: '3 bad pages' })), ['lost']);
});

test('what is left behind: files, settings, a destination that nobody needs', () => {
  assert.deepEqual(counters(evidence(1, STAYED, { left: ['godwit-x'] })), ['leftBehind']);
  assert.deepEqual(counters(evidence(1, STAYED, { settingsRestored: false })), ['leftBehind']);
  assert.deepEqual(counters(evidence(1, { source: RUNS, destination: STANDS })), ['leftBehind']);
  const refused = { ended: ended(1, '{"success":false,"error":{"code":"X"}}') };
  assert.deepEqual(counters(evidence(1, { source: RUNS, destination: STANDS }, refused)), []);
});

test('what has no end: a command that hangs, a migration that stays open, a damaged journal that nobody lists', () => {
  assert.deepEqual(counters(evidence(0, STAYED, { ended: null })), ['unresolved']);
  const open = { resolved: [{ of: 'list', ended: DOUBT }], mayEndBySignal: true };
  assert.deepEqual(counters(evidence(null, STAYED, open)), ['unresolved']);
  const hidden = { resolved: [{ of: 'list', ended: ended(0) }], mayEndBySignal: true };
  assert.deepEqual(counters(evidence(null, STAYED, { ...hidden, allows: { damaged: true } })), [
    'unresolved',
  ]);
});

test('an open migration that nobody can close, and a VM that cannot be moved any more', () => {
  const closed = {
    resolved: [{ of: 'closed', ended: DOUBT }],
    allows: { damaged: true },
    mayEndBySignal: true,
  };
  assert.deepEqual(counters(evidence(null, STAYED, closed)), ['unresolved']);
  const hangs = { ...closed, resolved: [{ of: 'm', ended: null }] };
  assert.deepEqual(counters(evidence(null, STAYED, hangs)), ['unresolved']);
  const look: Look = { source: LEFT, destination: GONE, other: RUNS };
  const again = (code: number) => ({ again: { ended: ended(code) }, last: look });
  assert.deepEqual(counters(evidence(1, STAYED, again(0))), []);
  assert.deepEqual(counters(evidence(1, STAYED, again(1))), ['unresolved']);
  assert.deepEqual(counters(evidence(1, STAYED, { ...again(0), again: { ended: null } })), ['unresolved']);
});

test("the operator's command is told where the VM is", () => {
  assert.deepEqual(counters(evidence(0, MOVED, { told: ['in-doubt', 'completed'] })), []);
  assert.deepEqual(counters(evidence(0, MOVED, { told: ['aborted'] })), ['wrongExit']);
  assert.deepEqual(counters(evidence(1, STAYED, { told: ['completed'] })), ['wrongExit']);
  assert.deepEqual(counters(evidence(1, STAYED, { told: ['aborted'] })), []);
});

test('two commands: the one that did not move may not claim, and the one that did must', () => {
  const look: Look = { source: LEFT, destination: GONE, other: RUNS };
  const others = [{ to: 'other' as const, ended: ended(0) }];
  assert.deepEqual(counters(evidence(1, look, { others })), []);
  assert.deepEqual(counters(evidence(1, { ...look, other: STANDS }, { others })), ['lost', 'wrongExit']);
});
