/**
 * Post-copy through the gateway: everything that it holds goes before QEMU says what to discard, and from
 * there on QEMU's bytes pass as they are. Each page of the moved VM is compared.
 */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { MIB } from '../../src/base/index.ts';
import { MIGRATE_DEFAULTS, type MigrationReport, migrate } from '../../src/controller/index.ts';
import { openNetwork, openPair, runChecks } from '../../src/lab/index.ts';
import { qemuMissing } from '../../src/lab/machine/qemu.testing.ts';
import { type AnyStrategy, readParameters, strategyByName } from '../../src/strategy/index.ts';
import type { Limits } from '../../src/vm/index.ts';
import { endsOf } from './small-pair.ts';

const skip = qemuMissing();

const ITERATIONS_BEFORE = 4;
const LARGE_SET_PAGES = 100;

/**
 * Holds every page that was dirty lately, and goes on in post-copy once a large set is held. frs would hold
 * none of them where the link happens to be faster than the guest.
 */
function holdingPostCopy(): AnyStrategy {
  const frs = strategyByName('frs');
  return {
    ...frs,
    name: 'hold-then-postcopy',
    mechanism: 'qemu-postcopy',
    atIteration(outlook, memory, parameters) {
      const verdict = frs.atIteration(outlook, memory, parameters);
      const { heldPages } = outlook.snapshot.backlog;
      const isTime = outlook.history.length > ITERATIONS_BEFORE && heldPages >= LARGE_SET_PAGES;
      const action = isTime ? 'post-copy' : 'continue';
      return {
        ...verdict,
        hold: { kind: 'window', theta: 1, of: 8, leaveAfterClean: 8 },
        withholdsPass: false,
        decision: { action, rule: 'test', text: `${heldPages} pages held` },
      };
    },
    atTick: () => null,
  };
}

async function moveUniform(
  strategy: AnyStrategy,
  limits: Limits = { downtimeMsMax: 300, timeoutMs: 30_000, onTimeout: 'cancel' },
): Promise<MigrationReport> {
  const network = await openNetwork({ linkBytesPerSecond: 25e6 });
  const stateDirectory = mkdtempSync(join(tmpdir(), 'godwit-post-copy-'));
  const guest = { workload: 'uniform', hotBytes: 16 * MIB, rateBytesPerSecond: 40 * MIB, seed: 7 } as const;
  const pair = await openPair({ network, memoryBytes: 64 * MIB, guest });
  try {
    const report = await migrate(
      {
        ...MIGRATE_DEFAULTS,
        ...(await endsOf(pair, network)),
        strategy,
        parameters: readParameters(strategy, []),
        limits,
        bandwidthBytesPerSecondMax: null,
        linkBytesPerSecond: null,
        ackGate: 'auto',
        stateDirectory,
      },
      {
        onProgress: () => undefined,
        onIteration: () => undefined,
        onNote: () => undefined,
      },
      new AbortController().signal,
    );
    assert.equal(report.failure, null);
    const figures = {
      timeLimitMs: 60_000,
      totalMigrationTimeMs: report.totalMigrationTimeMs,
      downtimeMs: report.downtimeMs,
      downtimeLimitMs: null,
      downtimePredictedMs: null,
    };
    const { results, verification } = await runChecks({ pair, place: 'moved', limits: figures });
    assert.deepEqual(
      results.flatMap(({ complaints }) => complaints),
      [],
    );
    assert.equal(verification?.badPages, 0);
    assert.ok(verification.pages > 0);
    return report;
  } finally {
    await pair.close();
    await network.close();
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}

test('a large hold set goes before post-copy begins, and every page is right', { skip }, async () => {
  const report = await moveUniform(holdingPostCopy());
  assert.equal(report.decision?.action, 'post-copy');
  assert.match(report.decision.text, /^\d{3,} pages held/);
  assert.match(report.notes.join('\n'), /runs at the destination/);
});

test('post-copy after one pass', { skip }, async () => {
  const report = await moveUniform(strategyByName('postcopy'));
  assert.equal(report.decision?.action, 'post-copy');
});

/** Stops at once, whatever it costs. */
function hasty(): AnyStrategy {
  const frs = strategyByName('frs');
  return {
    ...frs,
    name: 'hasty',
    atIteration(outlook, memory, parameters) {
      const verdict = frs.atIteration(outlook, memory, parameters);
      return { ...verdict, decision: { action: 'stop-and-copy', rule: 'test', text: 'now' } };
    },
    atTick: () => null,
  };
}

test('a stop that would be too long is not made, and the timeout goes on in post-copy', {
  skip,
}, async () => {
  const strict = { downtimeMsBound: 'limit', timeoutMs: 6000, onTimeout: 'post-copy' } as const;
  const report = await moveUniform(hasty(), { downtimeMsMax: 1, ...strict });
  assert.deepEqual([report.decision?.action, report.decision?.rule], ['post-copy', 'timeout']);
  assert.match(report.decision?.text ?? '', /--strict allows 1 ms/);
});

test('auto-converge: QEMU slows the guest, the gateway decides when it fits', { skip }, async () => {
  const report = await moveUniform(strategyByName('auto-converge'));
  assert.equal(report.decision?.action, 'stop-and-copy');
});
