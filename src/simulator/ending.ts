/**
 * What follows the decision: the rest flows with the VM stopped, or after it has moved. Not responsible for
 * deciding or judging.
 */

import { assert } from '../base/index.ts';
import { HurriedPasses, heldOutlastsHurry, hurryMsMax } from '../engine/index.ts';
import { fixedDowntimeMs } from './driver.ts';
import { type MigrationTimes, MODEL, type SimulationOptions } from './types.ts';
import type { World } from './world.ts';

/** Time goes on in stretches of this length while the VM is stopped. The link times the last byte exactly. */
const STRETCH_MS = 10;

/**
 * What the pass has left and the last dirty set are sent, then the held pages. The destination runs when all
 * is loaded.
 */
export function stopAndCopy(world: World, options: SimulationOptions): MigrationTimes {
  if (world.logBytesPerSecond !== null) return replayLastLog(world, options, world.logBytesPerSecond);
  if (world.gateway) hurry(world);
  const stoppedMs = world.nowMs;
  world.stop();
  // A gateway reads on while the link sends. So QEMU ends its pass and synchronises long before everything
  // that waits is sent, and held pages that are dirty by then are replaced instead of sent twice. Without a
  // gateway QEMU synchronises at once.
  while (world.gateway && world.ledger.passPages > 0) world.advance(STRETCH_MS);
  world.beginPass();
  while (!world.drained) world.advance(STRETCH_MS);
  return afterLastByte(world, options, stoppedMs);
}

/** Passes follow each other without a pause, as in the live handover. */
function hurry(world: World): void {
  const passes = new HurriedPasses();
  const snapshot = world.snapshot();
  const untilMs = world.nowMs + hurryMsMax(snapshot);
  if (world.nowMs >= untilMs) return;
  const heldGoes = heldOutlastsHurry(snapshot);
  world.hurry(heldGoes);
  const restPages = () => world.index.queuedPages + (heldGoes ? world.index.heldPages : 0);
  do {
    do world.advance(STRETCH_MS);
    while (world.ledger.passPages > 0 && world.nowMs < untilMs);
    world.beginPass();
  } while (!passes.begin(world.nowMs, restPages()) && world.nowMs < untilMs);
}

/**
 * The log that is left is that of the newest round. It covers the time that shipping and replaying the log
 * before it took.
 */
function replayLastLog(world: World, options: SimulationOptions, logBytesPerSecond: number): MigrationTimes {
  const stoppedMs = world.nowMs;
  const speed = Math.min(
    options.linkBytesPerSecond,
    logBytesPerSecond * (options.parameters['replaySpeed'] ?? 1),
  );
  let atMs = world.checkpointMs ?? stoppedMs;
  let roundMs = (logBytesPerSecond * atMs) / speed;
  while (atMs + roundMs < stoppedMs) {
    atMs += roundMs;
    roundMs *= logBytesPerSecond / speed;
  }
  world.link.send(MODEL.deviceBytes / options.grain, stoppedMs);
  const downtimeMs = roundMs + fixedDowntimeMs(options);
  world.ledger.deliverAll();
  return { totalMigrationTimeMs: stoppedMs + downtimeMs, downtimeMs };
}

function afterLastByte(world: World, options: SimulationOptions, stoppedMs: number): MigrationTimes {
  world.link.send(MODEL.deviceBytes / options.grain, stoppedMs);
  const endMs = Math.max(stoppedMs, world.link.freeAtMs) + fixedDowntimeMs(options);
  checkEnd(world);
  return { totalMigrationTimeMs: endMs, downtimeMs: endMs - stoppedMs };
}

/**
 * The VM moves with its device state. Its remaining pages follow, pushed and on demand, and the migration
 * ends with the last of them.
 */
export function postCopy(world: World, options: SimulationOptions): MigrationTimes {
  const stoppedMs = world.nowMs;
  world.link.send(MODEL.deviceBytes / options.grain, stoppedMs);
  const downtimeMs = world.link.freeAtMs - stoppedMs + fixedDowntimeMs(options);
  world.link.send(world.staleBytes, stoppedMs + downtimeMs);
  world.ledger.deliverAll();
  return { totalMigrationTimeMs: world.link.freeAtMs + options.roundTripMs, downtimeMs };
}

/**
 * The invariants of a finished run: everything arrived as last written, and nothing was forgotten in a queue
 * or a hold.
 */
function checkEnd(world: World): void {
  world.ledger.assertConserved();
  assert(world.index.queuedPages === 0 && world.index.heldPages === 0, 'no page is lost by holding');
}
