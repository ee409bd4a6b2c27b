/**
 * Watches the link while the VM stands still. Before that a broken link only makes QEMU pause, for up to
 * --link-timeout; now it is downtime, and the operator's limit says how long it may last. Not responsible for
 * what is done then.
 */

import { type Clock, GodwitError } from '../../base/index.ts';
import type { SessionStats } from '../../link/index.ts';

/** A PING a second: less silence than this says nothing. */
export const SILENCE_MS_MIN = 2500;
const POLL_MS = 100;

type Heard = Pick<SessionStats, 'heardAtMs'>;

/** How long the connection that was heard least recently has been silent; infinite where one is not open. */
export function silentMs(stats: readonly Heard[], nowMs: number): number {
  return nowMs - Math.min(...stats.map(({ heardAtMs }) => heardAtMs ?? Number.NEGATIVE_INFINITY));
}

export interface LinkWatch {
  close(): void;
}

export interface LinkWatchOptions {
  readonly stats: () => readonly Heard[];
  readonly clock: Clock;
  readonly downtimeMsMax: number;
  /** Called once, with LINK_SILENT. */
  readonly onSilent: (error: GodwitError) => void;
}

export function watchLink({ stats, clock, downtimeMsMax, onSilent }: LinkWatchOptions): LinkWatch {
  const patienceMs = Math.max(SILENCE_MS_MIN, downtimeMsMax);
  const heardMs = stats().map(() => clock.nowMs());
  const timer = setInterval(() => {
    for (const [lane, { heardAtMs }] of stats().entries()) {
      heardMs[lane] = Math.max(heardMs[lane]!, heardAtMs ?? Number.NEGATIVE_INFINITY);
    }
    const quietMs = clock.nowMs() - Math.min(...heardMs);
    if (quietMs <= patienceMs) return;
    clearInterval(timer);
    onSilent(silentError(quietMs, patienceMs));
  }, POLL_MS);
  return { close: () => clearInterval(timer) };
}

function silentError(quietMs: number, patienceMs: number): GodwitError {
  return new GodwitError(
    'LINK_SILENT',
    `the VM stands still and a connection of the link has been silent for ${Math.round(quietMs)} ms`,
    {
      safe: 'the destination has not run; the source VM goes on',
      hint: 'a greater --downtime-limit waits longer; else try again when the network is well',
      fields: { patienceMs },
    },
  );
}
