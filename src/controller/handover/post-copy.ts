/**
 * Post-copy through the gateway: QEMU starts the VM at the destination before its memory is there. Everything
 * that waits here goes first; from QEMU's first RAM_DISCARD on its bytes pass as they are, both ways. The
 * commit point is the moment at which they are let go, because the RUN among them starts the VM. Not
 * responsible for undoing: the handover's machine looks at what QEMU had begun.
 */

import { type Clock, formatBytes, GodwitError, sleep, systemClock, within } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import type { Loss } from '../../handover/index.ts';
import { cont, migrateStartPostcopy, type QmpExecutor, queryMigrate } from '../../qmp/index.ts';
import type { HandoverOptions, HandoverTimes } from './handover.ts';
import { SILENCE_MS_MIN } from './link-watch.ts';
import { untilStalled } from './stall.ts';

/** The machine state is small and all there is before the VM runs. */
const RUN_TIMEOUT_MS = 30_000;
const POLL_MS = 20;
const NOTE_EVERY_MS = 1000;
/** A link that is silent for so long is given up before the VM's stop too (--link-timeout). */
const QUIET_MS_MAX = 60_000;

/** `stage`: how far it came, also where it threw. */
export interface PostCopyStage {
  committed: boolean;
}

/**
 * null: QEMU had so little left that it ended as pre-copy does, with the VM stopped; the usual handover
 * follows. Errors: what was lost.
 */
export async function postCopy(
  options: HandoverOptions,
  stage: PostCopyStage,
): Promise<HandoverTimes | null> {
  const { source, destination, gateway, journal, guestWasRunning, onStep } = options;
  const lost = options.lost.then(throwLoss);
  lost.catch(() => undefined);
  await journal.record({ step: 'post-copy' });
  onStep('stopping');
  await Promise.race([migrateStartPostcopy(source), lost]);
  gateway.invitePostCopy();
  await drained(options, lost);
  if (!gateway.isInPostCopy) return null;
  const stoppedMs = options.stoppedAtMs() ?? systemClock.nowMs();
  const drainedMs = systemClock.nowMs() - stoppedMs;
  onStep('drained');
  // The last moment at which a cancel is heeded.
  await Promise.race([lost, Promise.resolve()]);
  stage.committed = true;
  await journal.record({ step: 'commit' });
  onStep('commit');
  const mark = destination.eventMark();
  // While it is loading, `cont` only means: start by yourself when RUN comes (qmp_cont, autostart).
  if (guestWasRunning) await cont(destination);
  // A gateway that ends between these two lines leaves the VM standing still: nothing is in between.
  await Promise.race([sourceIsPast(gateway), lost]);
  gateway.passOn();
  const resumedMs = guestWasRunning
    ? (await destination.waitEvent('RESUME', { since: mark, timeoutMs: RUN_TIMEOUT_MS })).receivedAtMs
    : systemClock.nowMs();
  options.onNote('the VM runs at the destination; its remaining pages follow');
  const endMs = await untilWhole({
    source,
    sentBytes: () => gateway.sentBytes,
    onNote: options.onNote,
    clock: systemClock,
    wait: sleep,
  });
  await journal.tryRecord({ step: 'running' });
  onStep('running');
  const downtimeMs = guestWasRunning ? resumedMs - stoppedMs : null;
  return { endMs, downtimeMs, steps: { drainedMs, resumedMs: resumedMs - stoppedMs } };
}

/** While the VM runs, a pause does no harm; once QEMU has stopped it, it is downtime. */
async function drained(
  { gateway, stoppedAtMs, downtimeMsMax }: HandoverOptions,
  lost: Promise<never>,
): Promise<void> {
  const over = new AbortController();
  const patienceMs = () => (stoppedAtMs() === null ? QUIET_MS_MAX : downtimeMsMax());
  const stalled = untilStalled(gateway, patienceMs, over.signal);
  try {
    await Promise.race([gateway.drained(), stalled, lost]);
  } finally {
    stalled.catch(() => undefined);
    over.abort();
  }
}

/** RUN is let go only afterwards. Errors: POST_COPY_LOST. */
function sourceIsPast({ sourceIsPastPackage }: SourceGateway): Promise<void> {
  return within(
    sourceIsPastPackage,
    RUN_TIMEOUT_MS,
    () =>
      new GodwitError('POST_COPY_LOST', 'the source did not send its package of the machine in time', {
        safe: 'the destination has not run',
      }),
  );
}

function throwLoss({ why }: Loss): never {
  throw new GodwitError('POST_COPY_LOST', why);
}

export interface WholeOptions {
  readonly source: QmpExecutor;
  /** Bytes that the gateway has passed on. */
  readonly sentBytes: () => number;
  readonly onNote: (text: string) => void;
  readonly clock: Clock;
  readonly wait: (ms: number) => Promise<void>;
}

/**
 * Until the last page has come. A cancel is not heeded any more: the VM runs there and needs what is
 * here. What else is lost shows in QEMU's own state, but for a link that dies without a word: nothing moves
 * then. Errors: POST_COPY_BROKEN, those of QMP.
 */
export async function untilWhole({ source, sentBytes, onNote, clock, wait }: WholeOptions): Promise<number> {
  let seen = '';
  let movedMs = clock.nowMs();
  let notedMs = movedMs;
  for (;;) {
    const { status, ram, errorDesc } = await queryMigrate(source);
    const nowMs = clock.nowMs();
    if (status === 'completed') return nowMs;
    if (!['active', 'device', 'postcopy-device', 'postcopy-active'].includes(status)) {
      throw brokenError(`the source's migration is "${status}" in post-copy: ${errorDesc ?? NO_REASON}`);
    }
    const now = `${status}/${ram?.remainingBytes}/${ram?.transferredBytes}/${sentBytes()}`;
    if (now !== seen) movedMs = nowMs;
    seen = now;
    const quietMs = nowMs - movedMs;
    if (quietMs >= QUIET_MS_MAX) throw brokenError(`in post-copy nothing has moved for ${seconds(quietMs)}`);
    if (nowMs - notedMs >= NOTE_EVERY_MS) {
      notedMs = nowMs;
      if (quietMs >= SILENCE_MS_MIN) onNote(quietText(quietMs));
      else if (ram !== null) onNote(`post-copy: ${formatBytes(ram.remainingBytes)} to come`);
    }
    await wait(POLL_MS);
  }
}

const NO_REASON = 'QEMU gave no reason';

function seconds(ms: number): string {
  return `${Math.round(ms / 1000)} s`;
}

function quietText(quietMs: number): string {
  return `post-copy: nothing has moved for ${seconds(quietMs)}; the VM at the destination stands still where it needs a page that has not come. godwit gives up after ${seconds(QUIET_MS_MAX)}, and says how to join the two ends again`;
}

function brokenError(text: string): GodwitError {
  return new GodwitError('POST_COPY_BROKEN', text, {
    safe: 'the VM is at the destination, with part of its memory still only at the source: end neither',
    hint: 'QEMU can join them again: migrate-pause where an end still says "postcopy-active", migrate-recover at the destination, then migrate with resume at the source',
  });
}
