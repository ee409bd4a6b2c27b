/**
 * What godwit sets on both QEMUs for a migration. Values with their reasons; setting
 * and restoring is ParameterGuard's.
 */

import { errorMessage, MIB } from '../../base/index.ts';
import {
  migrateSetCapabilities,
  type ParameterValue,
  type PreviousSettings,
  type QemuFeatures,
  type QmpExecutor,
} from '../../qmp/index.ts';
import type { AnyStrategy } from '../../strategy/index.ts';
import type { Limits, Mechanism } from '../../vm/index.ts';

/**
 * With unlimited drain a held QEMU spins and slows its guest by 13-37 %; at this rate no
 * cost was visible (measured).
 */
const DRAIN_BYTES_PER_SECOND = 1024 * MIB;
/** While the VM is stopped nothing must limit the rest. */
export const DRAIN_STOPPED_BYTES_PER_SECOND = 64 * 1024 * MIB;

/** What QEMU may have to do: the strategy's part, or post-copy once the time is over. */
export function mechanismOf({
  strategy,
  limits,
}: {
  readonly strategy: Pick<AnyStrategy, 'mechanism'>;
  readonly limits?: Pick<Limits, 'onTimeout'>;
}): Mechanism {
  return limits?.onTimeout === 'post-copy' ? 'qemu-postcopy' : strategy.mechanism;
}

/** What a strategy has QEMU itself do. */
export function mechanismCapabilities(mechanism: Mechanism): ReadonlySet<string> {
  if (mechanism === 'qemu-postcopy') return new Set(['postcopy-ram']);
  return new Set(mechanism === 'qemu-auto-converge' ? ['auto-converge'] : []);
}

/** The capabilities both ends must share. */
export function sharedCapabilities(
  ackGate: boolean,
  mechanism: Mechanism,
): Readonly<Record<string, boolean>> {
  return {
    'return-path': true,
    ...(ackGate ? { 'switchover-ack': true } : {}),
    ...(mechanism === 'qemu-postcopy' ? { 'postcopy-ram': true } : {}),
  };
}

export function sourceSettings(
  features: QemuFeatures,
  ackGate: boolean,
  mechanism: Mechanism,
  bitmapBits: number,
): PreviousSettings {
  const capped = (!ackGate || bitmapBits > 0) && features.parameters.has('avail-switchover-bandwidth');
  return {
    capabilities: {
      ...sharedCapabilities(ackGate, mechanism),
      ...(mechanism === 'qemu-auto-converge' ? { 'auto-converge': true } : {}),
      events: true,
      // Left on from an earlier attempt without us, it would stop the VM where nobody is waiting.
      ...(features.capabilities.has('pause-before-switchover') ? { 'pause-before-switchover': false } : {}),
    },
    parameters: {
      // Small but not 0: with 0 QEMU makes one pass and sends everything dirty as downtime.
      'downtime-limit': 1,
      'max-bandwidth': DRAIN_BYTES_PER_SECOND,
      // QEMU would take our memory's speed for the link's; with a threshold of a few bytes it only completes
      // when a dirty sync finds nothing. Not smaller: with a threshold of 0 QEMU skips that sync and stops
      // after one pass (measured). Dirty bitmaps count as pending with a byte a bit, and only the final
      // stage sends them (QEMU: migration/block-dirty-bitmap.c): without that much more it never came.
      ...(capped ? { 'avail-switchover-bandwidth': 4096 + bitmapBits * 1000 } : {}),
    },
  };
}

export interface SettingChange {
  readonly end: 'source' | 'destination';
  readonly name: string;
  /** null: QEMU does not say. */
  readonly now: ParameterValue | null;
  readonly wanted: ParameterValue;
}

/** After the move: the VM's next migration starts from the settings that its operator chose. */
export async function tidyDestination(
  destination: QmpExecutor,
  settings: readonly SettingChange[],
  onNote: (text: string) => void,
): Promise<void> {
  const changed = settings.filter(({ end, now }) => end === 'destination' && now !== null);
  const before = new Map(changed.map(({ name, now }) => [name, now === true]));
  if (before.size === 0) return;
  await migrateSetCapabilities(destination, before).catch((error: unknown) => {
    onNote(`the destination keeps ${[...before.keys()].join(' and ')} on: ${errorMessage(error)}`);
  });
}
