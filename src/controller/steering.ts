/**
 * A running migration as its operator may see and steer it, from whichever terminal. Owns the limits, which
 * may change on the way. Not responsible for who may ask (control/server.ts) nor for what a decision leads to
 * (drive.ts).
 */

import { GodwitError } from '../base/index.ts';
import type { SourceGateway } from '../gateway/index.ts';
import { type Arrangement, type Limits, PAGE_SIZE_BYTES } from '../vm/index.ts';
import type { ControlReply, ControlRequest, MigrationStatus } from './control/messages.ts';
import type { Drive, ProgressView } from './drive.ts';
import { farGateway, type MigrateOptions } from './options.ts';
import type { MigrateStep } from './steps.ts';

type Steered = Pick<Drive, 'switchNow' | 'setLimits'>;
type Capped = Pick<SourceGateway, 'setBandwidthMax'>;

/** Of either kind of migration; both ends as the operator wrote them. */
export interface SteeringOptions
  extends Pick<MigrateOptions, 'strategy' | 'limits' | 'bandwidthBytesPerSecondMax'> {
  readonly source: string;
  readonly destination: string;
  readonly arrangement: Arrangement;
}

export class Steering {
  readonly #migrationId: string;
  readonly #options: SteeringOptions;
  readonly #cancelled = new AbortController();
  #limits: Limits;
  #bandwidthBytesPerSecondMax: number | null;
  #drive: Steered | null = null;
  #gateway: Capped | null = null;
  #view: ProgressView | null = null;
  #isCommitted = false;

  constructor(migrationId: string, options: SteeringOptions) {
    this.#migrationId = migrationId;
    this.#options = options;
    this.#limits = options.limits;
    this.#bandwidthBytesPerSecondMax = options.bandwidthBytesPerSecondMax;
  }

  get limits(): Limits {
    return this.#limits;
  }

  /** Aborted when the operator cancels from elsewhere. */
  get cancelled(): AbortSignal {
    return this.#cancelled.signal;
  }

  attach(drive: Steered, gateway: Capped): void {
    this.#drive = drive;
    this.#gateway = gateway;
  }

  see(view: ProgressView): void {
    this.#view = view;
  }

  step(step: MigrateStep): void {
    if (step === 'commit') this.#isCommitted = true;
  }

  /** Never throws: what cannot be done is an answer. */
  answer(request: ControlRequest): ControlReply {
    try {
      this.#obey(request);
      return { ok: true, status: this.status() };
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      return { ok: false, code: error.code, text: error.message };
    }
  }

  #obey(request: ControlRequest): void {
    switch (request.do) {
      case 'status':
        return;
      case 'set':
        this.#set(request);
        return;
      case 'switch':
        this.#refuseLate('the VM is being moved already');
        if (this.#drive === null) throw refusal('CONTROL_TOO_EARLY', 'the migration is still being prepared');
        this.#drive.switchNow();
        return;
      case 'cancel':
        if (this.#isCommitted) {
          throw refusal('CONTROL_TOO_LATE', 'past the commit point: the VM belongs to the destination');
        }
        this.#cancelled.abort(new Error('cancelled from another terminal'));
    }
  }

  #set(asked: Extract<ControlRequest, { do: 'set' }>): void {
    const { bandwidthBytesPerSecondMax } = asked;
    this.#refuseLate('the VM is being moved: limits no longer matter');
    if (this.#drive === null || this.#gateway === null) {
      throw refusal('CONTROL_TOO_EARLY', 'the migration is still being prepared');
    }
    if (bandwidthBytesPerSecondMax !== undefined) {
      this.#bandwidthBytesPerSecondMax = bandwidthBytesPerSecondMax;
      this.#gateway.setBandwidthMax(bandwidthBytesPerSecondMax);
    }
    const limits = changedLimits(this.#limits, asked);
    if (limits !== this.#limits) this.#drive.setLimits(limits);
    this.#limits = limits;
  }

  #refuseLate(why: string): void {
    if (this.#isCommitted || this.#view?.phase === 'stop-and-copy') throw refusal('CONTROL_TOO_LATE', why);
  }

  status(): MigrationStatus {
    const { source, destination, arrangement, strategy } = this.#options;
    return {
      migrationId: this.#migrationId,
      processId: process.pid,
      arrangement,
      strategy: strategy.name,
      source,
      destination,
      ...figuresOf(this.#view),
      phase: this.#isCommitted ? 'committed' : (this.#view?.phase ?? 'preparing'),
      downtimeMsMax: this.#limits.downtimeMsMax,
      bandwidthBytesPerSecondMax: this.#bandwidthBytesPerSecondMax,
    };
  }
}

/** Those given, unless something else is asked for. */
function changedLimits(
  before: Limits,
  { downtimeMsMax, downtimeMsBound }: Extract<ControlRequest, { do: 'set' }>,
): Limits {
  if (downtimeMsMax === undefined && downtimeMsBound === undefined) return before;
  const { downtimeMsBound: boundBefore, ...limits } = before;
  const bound = downtimeMsBound === undefined ? (boundBefore ?? null) : downtimeMsBound;
  return {
    ...limits,
    ...(downtimeMsMax === undefined ? {} : { downtimeMsMax }),
    ...(bound === null ? {} : { downtimeMsBound: bound }),
  };
}

/** Both QEMUs as they were given. */
export function qemuTexts(
  options: MigrateOptions,
): Pick<SteeringOptions, 'source' | 'destination' | 'arrangement'> {
  const { sourceQmpPath, destinationQmpPath, far } = options;
  const arrangement = farGateway(far) === null ? 'single' : 'paired';
  const host = far?.reach.host;
  const near = host == null ? `qmp:${destinationQmpPath}` : `ssh://${host}${destinationQmpPath}`;
  const destination = far?.reach.listener != null ? destinationQmpPath : near;
  return { source: `qmp:${sourceQmpPath}`, destination, arrangement };
}

function figuresOf(view: ProgressView | null) {
  const snapshot = view?.snapshot ?? null;
  const newest = view?.iterations.findLast(({ index }) => index > 0) ?? null;
  return {
    elapsedMs: view?.nowMs ?? null,
    iteration: view === null ? null : (view.iterations.at(-1)?.index ?? -1) + 1,
    sentBytes: snapshot?.sentBytes ?? null,
    linkBytesPerSecond: snapshot?.bandwidthBytesPerSecond ?? null,
    dirtyBytesPerSecond:
      newest === null ? null : (newest.dirtyPages * PAGE_SIZE_BYTES * 1000) / newest.durationMs,
    queuedBytes: snapshot?.backlog.queuedBytes ?? null,
    heldBytes: snapshot?.backlog.heldBytes ?? null,
    downtimePredictedMs: view?.downtimePredictedMs ?? null,
    why: view?.decision?.text ?? null,
    rule: view?.decision?.rule ?? null,
  };
}

function refusal(code: 'CONTROL_TOO_EARLY' | 'CONTROL_TOO_LATE', text: string): GodwitError {
  return new GodwitError(code, text);
}
