/** What ends a migration from inside the guest. */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QmpEvent } from '../qmp/index.ts';
import { foreignStop, guestEnd } from './guest.ts';

const event = (name: string, data: Record<string, unknown> = {}): QmpEvent =>
  ({ name, data, receivedAtMs: 0, timestampMs: 0 }) as unknown as QmpEvent;

test('shutdown and panic end it, a reset does not', () => {
  assert.match(
    guestEnd(event('SHUTDOWN', { guest: true, reason: 'guest-shutdown' })) ?? '',
    /guest shut down/,
  );
  assert.match(guestEnd(event('SHUTDOWN', { guest: false, reason: 'host-signal' })) ?? '', /host-signal/);
  assert.match(guestEnd(event('GUEST_PANICKED')) ?? '', /panicked/);
  assert.equal(guestEnd(event('RESET', { guest: true })), null);
});

test("only QEMU's own final stage is no foreign stop", () => {
  assert.equal(foreignStop('finish-migrate'), null);
  assert.match(foreignStop('paused') ?? '', /another client/);
  assert.match(foreignStop('io-error') ?? '', /io-error/);
});
