/**
 * The driver over a gateway and a QEMU that are a few lines each: what it must not wait for. The engine has
 * tests of its own.
 */

import assert from 'node:assert/strict';
import { test } from 'node:test';
import { startEngine } from '../engine/index.ts';
import type { SourceGateway } from '../gateway/index.ts';
import type { QmpClient } from '../qmp/index.ts';
import { strategyByName } from '../strategy/index.ts';
import { Drive, type DriveOptions } from './drive.ts';

const strategy = strategyByName('adaptive');

function toyGateway() {
  const calls: string[] = [];
  const gateway = {
    calls,
    // Without the ack QEMU's answers are waited for; this QEMU gives none.
    keepsQemuWaiting: true,
    passes: 0,
    refresh: () => undefined,
    snapshot: () => null,
    notePass: () => calls.push('notePass'),
    readRest: () => calls.push('readRest'),
  };
  return gateway;
}

function drive(gateway: ReturnType<typeof toyGateway>, options: Partial<DriveOptions>): Drive {
  const silent = { execute: () => new Promise(() => undefined) };
  return new Drive({
    gateway: gateway as unknown as SourceGateway,
    source: silent as unknown as QmpClient,
    clock: { nowMs: () => 0 },
    startMs: 0,
    guestRuns: true,
    stateComplete: new Promise(() => undefined),
    engine: startEngine({
      strategy,
      parameters: {},
      limits: { downtimeMsMax: 300, timeoutMs: null, onTimeout: 'switch' },
      pageCount: 1,
      linkBytesPerSecondConfigured: null,
      fixedDowntimeMs: 0,
      ackGate: false,
    }),
    isLinkSilent: () => false,
    onProgress: () => undefined,
    onIteration: () => undefined,
    ...options,
  });
}

test('a paused VM is read at once and ends with its stream, whatever QEMU announces and answers', async () => {
  const gateway = toyGateway();
  const stateComplete = Promise.withResolvers<void>();
  const driven = drive(gateway, { guestRuns: false, stateComplete: stateComplete.promise });
  const ending = driven.run();
  assert.deepEqual(gateway.calls, ['readRest']);
  stateComplete.resolve();
  const { kind, decision } = await ending;
  driven.close();
  assert.deepEqual([kind, decision?.rule], ['stop-and-copy', 'paused-guest']);
});

test('a running VM is not read past its gate, and the end of a stream decides nothing about it', async () => {
  const gateway = toyGateway();
  const driven = drive(gateway, { stateComplete: Promise.resolve() });
  const ending = driven.run();
  await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(gateway.calls, []);
  driven.cancel();
  assert.equal((await ending).kind, 'abort');
  driven.close();
});
