/**
 * What a simulated run looked like over time: its backlog at every tick, as bytes on the link. Not
 * responsible for drawing it (picture.ts).
 */

import type { World } from './world.ts';

export interface Sample {
  readonly atMs: number;
  /**
   * What the destination lacks: held or queued at the gateway, or still in QEMU. The link takes as long for
   * their sum as a stop at this moment would last.
   */
  readonly heldBytes: number;
  readonly queuedBytes: number;
  readonly inQemuBytes: number;
  readonly sentBytes: number;
}

export function sampleOf(world: World): Sample {
  // Without a gateway the index stands for QEMU's socket.
  const waiting = world.gateway ? world.index.backlog() : { heldBytes: 0, queuedBytes: 0 };
  // A page that waits and was written again counts where it waits. Bytes of deltas are an estimate, so what
  // waits may exceed what is lacking.
  const lackingBytes = world.staleBytes;
  const heldBytes = Math.min(lackingBytes, waiting.heldBytes);
  const queuedBytes = Math.min(lackingBytes - heldBytes, waiting.queuedBytes);
  return {
    atMs: world.nowMs,
    heldBytes,
    queuedBytes,
    inQemuBytes: lackingBytes - heldBytes - queuedBytes,
    sentBytes: world.link.sentBytes,
  };
}
