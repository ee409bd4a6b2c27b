/**
 * The handover of a libvirt domain: the same machine as for two QEMUs (src/handover), with libvirt's acts.
 * QEMU itself stops the VM once it is invited to; COMMIT is Finish. Not responsible for what the machine
 * decides.
 */

import { GodwitError, orAborted, sleep, within } from '../../base/index.ts';
import type { SourceGateway } from '../../gateway/index.ts';
import {
  type Acts,
  beginHandover,
  beginUndo,
  carryOut,
  type HandoverState,
  type Known,
  type Loss,
  type Outcome,
} from '../../handover/index.ts';
import { type LibvirtClient, migrateSetMaxDowntime } from '../../libvirt/index.ts';
import type { Machine } from '../../machines/index.ts';
import { deadlineMsOf, endActs, isRefusal, type Journal } from '../../recovery/index.ts';
import { asGodwitError } from '../handover/failures.ts';
import { untilStalled } from '../handover/stall.ts';
import type { MigrateStep } from '../steps.ts';
import type { DomainEnds } from './ends.ts';
import type { DomainWatch } from './watch.ts';

/**
 * QEMU stops the VM when what is left fits its downtime limit at the rate at which we read, far more than a
 * link carries: a small limit first. A guest that never fits it gets the operator's.
 */
const DOWNTIME_FIRST_MS = 20;
const FIRST_TRY_MS = 2_000;
const STOP_TIMEOUT_MS = 25_000;
const SILENCE_MS = 10_000;
const PERFORM_TIMEOUT_MS = 20_000;

export interface DomainHandoverOptions {
  readonly ends: DomainEnds;
  readonly machines: { readonly source: Machine; readonly destination: Machine };
  readonly journal: Journal;
  readonly gateway: SourceGateway | null;
  readonly watch: DomainWatch;
  readonly performed: Promise<void> | null;
  readonly downtimeMsMax: () => number;
  readonly lost: Promise<Loss> | null;
  readonly closeStream: () => void;
  readonly onStep: (step: MigrateStep) => void;
  readonly onState: (state: HandoverState) => void;
}

export interface DomainEnd {
  readonly outcome: Outcome;
  readonly error: GodwitError | null;
}

/** Never rejects. */
export async function handOverDomain(options: DomainHandoverOptions): Promise<DomainEnd> {
  return run(beginHandover({ guestWasRunning: true, sourceAfter: 'quit' }), streamActs(options), options);
}

/** Back to one running VM, for a move that ends before its handover. Never rejects. */
export async function undoDomain(
  why: string,
  guestEnded: string | null,
  options: DomainHandoverOptions,
): Promise<DomainEnd> {
  const absent = () => Promise.reject(new Error('there is no stream any more'));
  const known: Known = {
    guestWasRunning: true,
    guestEnded,
    sourceAfter: 'quit',
    stopIsOurs: true,
    prepared: false,
    commit: 'no',
    continued: false,
    postCopy: false,
  };
  const none = {
    hurry: absent,
    'stop-source': absent,
    drain: absent,
    prove: absent,
    'release-source': absent,
  };
  return run(beginUndo(known, why), none, options);
}

type StreamActs = Pick<Acts, 'hurry' | 'stop-source' | 'drain' | 'prove' | 'release-source'>;

async function run(
  begin: HandoverState,
  stream: StreamActs,
  options: DomainHandoverOptions,
): Promise<DomainEnd> {
  let error: GodwitError | null = null;
  const ends = endActs({
    source: options.machines.source,
    destination: options.machines.destination,
    linkTimeoutMs: 0,
    journal: options.journal,
    settings: () => null,
    leaveDestination: () => null,
    wait: (ms) => sleep(ms),
    touched: () => options.watch.touched,
    silenceMs: () => SILENCE_MS,
  });
  const state = await carryOut(begin, {
    acts: {
      ...ends,
      ...stream,
      'start-destination': (effect, signal) => {
        options.watch.beginCommit();
        return ends['start-destination'](effect, signal);
      },
      record: async (effect, signal) => {
        await ends.record(effect, signal);
        const { step } = effect;
        if (step === 'prepared' || step === 'commit' || step === 'running') options.onStep(step);
      },
    },
    isRefusal,
    guestEndOf: (cause) => {
      error ??= asGodwitError(cause);
      if (error.code !== 'GUEST_ENDED') return null;
      void options.journal.tryRecord({ step: 'guest-ended', text: error.message });
      return error.message;
    },
    deadlineMsOf: (effect) => deadlineMsOf(effect, 0),
    wait: (ms, signal) => sleep(ms, signal).catch(() => new Promise<never>(() => undefined)),
    lost: options.lost,
    onState: (now) => {
      if (now.phase === 'asking') options.closeStream();
      options.onState(now);
    },
  });
  return { outcome: state.outcome, error };
}

function streamActs(options: DomainHandoverOptions): StreamActs {
  const { gateway, onStep, performed, watch } = options;
  if (gateway === null || performed === null) throw new Error('a handover has a stream');
  return {
    // Passes without pauses drown libvirt's daemon in events (10,000 in 2.5 s): none are asked for.
    hurry: async () => undefined,
    'stop-source': async (_effect, signal) => {
      onStep('stopping');
      await untilStopped(options, gateway, signal);
    },
    drain: async (_effect, signal) => {
      onStep('stopped');
      gateway.enterStopAndCopy();
      onStep('stop-and-copy');
      await orAborted(
        Promise.race([gateway.drained(), untilStalled(gateway, options.downtimeMsMax, signal)]),
        signal,
      );
      onStep('drained');
    },
    prove: async (_effect, signal) => {
      await orAborted(gateway.complete(), signal);
      onStep('loaded');
    },
    'release-source': async (_effect, signal) => {
      signal.throwIfAborted();
      gateway.releaseSource();
      await orAborted(within(performed, PERFORM_TIMEOUT_MS, stalledError(PERFORM_TIMEOUT_MS)), signal);
      onStep('released');
    },
  };

  async function untilStopped(
    { ends, downtimeMsMax }: DomainHandoverOptions,
    stream: SourceGateway,
    signal: AbortSignal,
  ): Promise<void> {
    if (watch.stoppedAtMs !== null) return;
    await setDowntime(ends, Math.min(DOWNTIME_FIRST_MS, downtimeMsMax()));
    stream.inviteSwitchover();
    const first = await Promise.race([watch.stopped.then(() => true), sleep(FIRST_TRY_MS, signal)]);
    if (first === true) return;
    await setDowntime(ends, downtimeMsMax());
    await orAborted(within(watch.stopped, STOP_TIMEOUT_MS, stalledError(STOP_TIMEOUT_MS)), signal);
  }
}

async function setDowntime(
  { source, domain }: DomainEnds & { readonly source: LibvirtClient },
  ms: number,
): Promise<void> {
  await source.call(migrateSetMaxDowntime, {
    domain,
    downtimeMs: BigInt(Math.max(1, Math.round(ms))),
    flags: 0,
  });
}

function stalledError(timeoutMs: number): () => GodwitError {
  return () =>
    new GodwitError('STREAM_STALLED', `nothing has happened for ${timeoutMs} ms`, {
      safe: 'the destination has not run; the source VM goes on',
    });
}
