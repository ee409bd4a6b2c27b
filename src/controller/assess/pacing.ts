/**
 * How a VM without the switchover-ack is kept migrating into nothing: QEMU's passes are spaced, and none may
 * be small.
 */

import type { SourceGateway } from '../../gateway/index.ts';
import { type QmpClient, queryMigrate } from '../../qmp/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';

/**
 * Without the ack QEMU completes when a dirty sync finds nothing. So passes are spaced, and a small one is
 * not read: leaving it unread does not hold it back, because it fits QEMU's socket (208 KiB), and the next
 * sync follows at once.
 */
const PASS_SPACING_MS = 250;
const PASS_PAGES_MIN = 256;
/** A guest that writes less has small passes. */
export const DIRTY_BYTES_PER_SECOND_MIN = (2 * PASS_PAGES_MIN * PAGE_SIZE_BYTES * 1000) / PASS_SPACING_MS;

/**
 * To be called when a pass begins: nothing of it is read before QEMU has said how large it is. False: it is
 * too small to hold.
 */
export async function spacePass(source: QmpClient, gateway: SourceGateway): Promise<boolean> {
  if (gateway.passes < 2) return true;
  gateway.setWaitingMax(0);
  const { ram } = await queryMigrate(source);
  if (ram === null || ram.remainingBytes < PASS_PAGES_MIN * PAGE_SIZE_BYTES) return false;
  setTimeout(() => gateway.setWaitingMax(Number.POSITIVE_INFINITY), PASS_SPACING_MS).unref();
  return true;
}
