/** What godwit sets on both QEMUs for a migration. Values with their reasons; setting and restoring is ParameterGuard's. */

import { MIB } from '../base/index.ts';
import type { PreviousSettings, QemuFeatures } from '../qmp/index.ts';

/** With unlimited drain a held QEMU spins and slows its guest by 13-37 %; at this rate no cost was visible (measured). */
const DRAIN_BYTES_PER_SECOND = 1024 * MIB;
/** While the VM is stopped nothing must limit the rest. */
export const DRAIN_STOPPED_BYTES_PER_SECOND = 64 * 1024 * MIB;

/** The capabilities both ends must share. */
export function sharedCapabilities(ackGate: boolean): Readonly<Record<string, boolean>> {
  return { 'return-path': true, ...(ackGate ? { 'switchover-ack': true } : {}) };
}

export function sourceSettings(features: QemuFeatures, ackGate: boolean): PreviousSettings {
  const capped = !ackGate && features.parameters.has('avail-switchover-bandwidth');
  return {
    capabilities: {
      ...sharedCapabilities(ackGate),
      events: true,
      // Left on from an earlier attempt without us, it would stop the VM where nobody is waiting.
      ...(features.capabilities.has('pause-before-switchover') ? { 'pause-before-switchover': false } : {}),
    },
    parameters: {
      // Small but not 0: with 0 QEMU makes one pass and sends everything dirty as downtime.
      'downtime-limit': 1,
      'max-bandwidth': DRAIN_BYTES_PER_SECOND,
      // QEMU would take our memory's speed for the link's; with a threshold of a few bytes it only completes when a dirty
      // sync finds nothing. Not smaller: with a threshold of 0 QEMU skips that sync and stops after one pass (measured).
      ...(capped ? { 'avail-switchover-bandwidth': 4096 } : {}),
    },
  };
}
