/**
 * A toy guest, QEMU, gateway and link that close the loop around the engine, for tests only. Page by page and
 * naive on purpose: it shares no code with the page store or the simulator. Not responsible for timing below
 * a tick.
 */

import { Prng } from '../base/index.ts';
import type { AnyStrategy } from '../strategy/index.ts';
import { readParameters } from '../strategy/index.ts';
import {
  type Hold,
  type IterationStats,
  type Limits,
  type Order,
  REWRITE_CLASSES,
  type Snapshot,
} from '../vm/index.ts';
import { type EngineState, startEngine } from './state.ts';
import { step } from './step.ts';
import { type Command, ENGINE_TICK_MS, type Fact } from './types.ts';

const TOY_PAGE_BYTES = 4104;
const PASS_MS_MIN = 250;
const REGION_PAGES = 64;
const COMPLETES_BELOW_PAGES = 32;
const FIXED_MS = 20;

export interface ToyOptions {
  readonly strategy: AnyStrategy;
  readonly settings?: readonly string[];
  readonly limits?: Partial<Limits>;
  readonly pages?: number;
  readonly linkPagesPerSecond?: number;
  readonly qemuPagesPerSecond?: number;
  readonly memoryPagesMax?: number;
  readonly ackGate?: boolean;
  readonly seed?: number;
  /** The pages written during one tick. */
  readonly write: (world: {
    readonly prng: Prng;
    readonly nowMs: number;
    readonly pages: number;
  }) => Iterable<number>;
  /** Facts of the operator's, at their time. */
  readonly operator?: readonly { readonly atMs: number; readonly fact: Fact }[];
  /** QEMU makes no more passes from here on. */
  readonly stallAtMs?: number;
  readonly endMs?: number;
}

export interface ToyResult {
  readonly state: EngineState;
  readonly commands: readonly (Command & { readonly atMs: number })[];
  readonly decidedAtMs: number | null;
  readonly end: Command | { readonly kind: 'still-running' };
  readonly uninvited: boolean;
  readonly downtimePredictedMs: number | null;
  readonly downtimeMs: number;
  readonly totalMs: number;
  readonly sentPages: number;
  readonly hold: Hold;
}

export class ToyWorld {
  readonly options: ToyOptions;
  readonly pages: number;
  readonly dirty: Uint8Array;
  /** 0 unseen or sent, 1 queued, 2 held. */
  readonly place: Uint8Array;
  readonly seen: Uint8Array;
  readonly sentOnce: Uint8Array;
  readonly bits: Uint8Array;
  readonly touched: Uint8Array;
  readonly member: Uint8Array;
  readonly rewrites: Uint32Array;
  readonly prng: Prng;
  passList: number[] = [];
  passes = 1;
  syncMs = 0;
  sent = 0;
  resent = 0;
  firstPassDone = false;
  hold: Hold = { kind: 'none' };
  order: Order = { kind: 'address' };
  waitingPagesMax = Number.POSITIVE_INFINITY;
  nowMs = 0;
  linkCredit = 0;
  iterationStart = { ms: 0, sent: 0, resent: 0, passes: 1, index: 0 };
  state: EngineState;
  commands: (Command & { atMs: number })[] = [];
  end: Command | null = null;
  uninvited = false;

  constructor(options: ToyOptions) {
    this.options = options;
    this.pages = options.pages ?? 8192;
    this.prng = new Prng(options.seed ?? 1);
    const bytes = () => new Uint8Array(this.pages);
    [this.dirty, this.place, this.seen, this.sentOnce, this.bits, this.touched, this.member] = [
      bytes(),
      bytes(),
      bytes(),
      bytes(),
      bytes(),
      bytes(),
      bytes(),
    ] as const;
    this.rewrites = new Uint32Array(this.pages);
    this.passList = Array.from({ length: this.pages }, (_, page) => page);
    if (options.ackGate === false) this.waitingPagesMax = 0;
    this.state = startEngine({
      strategy: options.strategy,
      parameters: readParameters(options.strategy, options.settings ?? []),
      limits: { downtimeMsMax: 300, timeoutMs: 120_000, onTimeout: 'cancel', ...options.limits },
      pageCount: this.pages,
      linkBytesPerSecondConfigured: this.link * TOY_PAGE_BYTES,
      fixedDowntimeMs: FIXED_MS,
      ackGate: options.ackGate ?? true,
    });
  }

  get link(): number {
    return this.options.linkPagesPerSecond ?? 800;
  }

  count(of: Uint8Array, value: number): number {
    let total = 0;
    for (let page = 0; page < this.pages; page++) if (of[page] === value) total++;
    return total;
  }

  snapshot(): Snapshot {
    const queuedPages = this.count(this.place, 1);
    const heldPages = this.count(this.place, 2);
    let dirtyPages = 0;
    let dirtyOutsideHoldPages = 0;
    for (let page = 0; page < this.pages; page++) {
      if (this.touched[page] === 0) continue;
      dirtyPages++;
      if (!this.isHeld(page)) dirtyOutsideHoldPages++;
    }
    return {
      backlog: {
        queuedPages,
        queuedBytes: queuedPages * TOY_PAGE_BYTES,
        heldPages,
        heldBytes: heldPages * TOY_PAGE_BYTES,
      },
      dirtyPages,
      dirtyOutsideHoldPages,
      sentPages: this.sent,
      resentPages: this.resent,
      sentBytes: this.sent * TOY_PAGE_BYTES,
      firstPassDone: this.firstPassDone,
      passes: this.passes,
      sinceSyncMs: this.nowMs - this.syncMs,
      bandwidthBytesPerSecond: this.nowMs < 200 ? null : this.link * TOY_PAGE_BYTES,
      roundTripMs: 1,
      memoryBytes: (queuedPages + heldPages) * 4096,
      memoryBytesMax: (this.options.memoryPagesMax ?? this.pages * 2) * 4096,
      gateHeld: false,
      sourceRemainingPages: this.passList.length,
    };
  }

  rate(page: number): number {
    return this.rewrites[page]! / Math.max(1, this.nowMs / 1000);
  }

  isHeld(page: number): boolean {
    const { hold } = this;
    switch (hold.kind) {
      case 'none':
        return false;
      case 'window':
        return this.member[page] === 1;
      case 'rate':
        return this.rate(page) > hold.perSecondMax;
      case 'regions':
        return (
          hold.regions.has(Math.floor(page / REGION_PAGES)) &&
          (!hold.onlyRewritten || this.rewrites[page]! > 0)
        );
      case 'dirty-again':
        return this.place[page] !== 0 && this.rewrites[page]! > 0;
    }
  }

  replace(): void {
    for (let page = 0; page < this.pages; page++) {
      if (this.place[page] !== 0) this.place[page] = this.isHeld(page) ? 2 : 1;
    }
  }

  receive(page: number): void {
    if (this.seen[page] === 1) this.rewrites[page]!++;
    if (this.seen[page] === 0 || this.iterationStart.index > 0) this.touched[page] = 1;
    this.seen[page] = 1;
    this.place[page] = this.isHeld(page) ? 2 : 1;
  }

  tell(fact: Fact): void {
    const { state, commands } = step(this.state, fact, this.nowMs);
    this.state = state;
    for (const command of commands) {
      this.commands.push({ ...command, atMs: this.nowMs });
      this.obey(command);
    }
  }

  obey(command: Command): void {
    if (command.kind === 'set-rules') {
      this.hold = command.hold;
      this.order = command.order;
      this.replace();
    } else if (command.kind === 'end-iteration') this.endIteration();
    else if (command.kind === 'waiting-max') this.waitingPagesMax = command.bytes / TOY_PAGE_BYTES;
    else if (command.kind === 'stop-and-copy' || command.kind === 'abort' || command.kind === 'post-copy') {
      this.end ??= command;
    }
  }

  endIteration(): void {
    const { index } = this.iterationStart;
    if (index > 0) this.shiftHistory();
    const snapshot = this.snapshot();
    const regionHistogram = new Uint32Array(Math.ceil(this.pages / REGION_PAGES));
    const rewriteHistogram = new Float64Array(REWRITE_CLASSES);
    for (let page = 0; page < this.pages; page++) {
      if (this.touched[page] === 1) regionHistogram[Math.floor(page / REGION_PAGES)]!++;
      const rate = this.rate(page);
      if (rate > 0) rewriteHistogram[Math.min(31, Math.max(0, Math.floor(Math.log2(rate)) + 16))]!++;
    }
    const stats: IterationStats = {
      index,
      startMs: this.iterationStart.ms,
      durationMs: this.nowMs - this.iterationStart.ms,
      passes: this.passes - this.iterationStart.passes,
      dirtyPages: snapshot.dirtyPages,
      dirtyOutsideHoldPages: snapshot.dirtyOutsideHoldPages,
      sentPages: this.sent - this.iterationStart.sent,
      resentPages: this.resent - this.iterationStart.resent,
      sentBytes: (this.sent - this.iterationStart.sent) * TOY_PAGE_BYTES,
      backlog: snapshot.backlog,
      bandwidthBytesPerSecond: snapshot.bandwidthBytesPerSecond,
      rewriteHistogram,
      regionHistogram,
      regionPages: REGION_PAGES,
    };
    this.touched.fill(0);
    this.iterationStart = {
      ms: this.nowMs,
      sent: this.sent,
      resent: this.resent,
      passes: this.passes,
      index: index + 1,
    };
    this.tell({ kind: 'iteration', stats, snapshot: this.snapshot() });
  }

  shiftHistory(): void {
    for (let page = 0; page < this.pages; page++) {
      const bits = ((this.bits[page]! << 1) | this.touched[page]!) & 0xff;
      this.bits[page] = bits;
      if (this.hold.kind !== 'window') continue;
      const { theta, of, leaveAfterClean } = this.hold;
      let dirty = 0;
      for (let bit = 0; bit < of; bit++) dirty += (bits >> bit) & 1;
      if (dirty >= theta) this.member[page] = 1;
      else if ((bits & ((1 << leaveAfterClean) - 1)) === 0) this.member[page] = 0;
    }
    this.replace();
  }

  qemu(): void {
    const { options } = this;
    const full = () => {
      const queued = this.count(this.place, 1);
      if (queued + this.count(this.place, 2) >= this.waitingPagesMax) return true;
      return options.strategy.absorb
        ? queued + this.count(this.place, 2) >= (options.memoryPagesMax ?? Number.POSITIVE_INFINITY)
        : queued > 64;
    };
    let budget = ((options.qemuPagesPerSecond ?? 40_000) * ENGINE_TICK_MS) / 1000;
    while (budget > 0 && this.passList.length > 0 && (budget % 16 !== 0 || !full())) {
      this.receive(this.passList.pop()!);
      budget--;
    }
    if (this.passList.length > 0 || this.nowMs - this.syncMs < PASS_MS_MIN) return;
    if (options.stallAtMs !== undefined && this.nowMs >= options.stallAtMs) return;
    const completes = !(options.ackGate ?? true) && this.count(this.dirty, 1) < COMPLETES_BELOW_PAGES;
    for (let page = this.pages - 1; page >= 0; page--) if (this.dirty[page] === 1) this.passList.push(page);
    this.dirty.fill(0);
    this.syncMs = this.nowMs;
    this.firstPassDone = true;
    this.passes++;
    if (completes) {
      this.uninvited = true;
      this.tell({ kind: 'stopped', invited: false, snapshot: this.snapshot() });
    } else this.tell({ kind: 'pass', snapshot: this.snapshot() });
  }

  send(): void {
    this.linkCredit += (this.link * ENGINE_TICK_MS) / 1000;
    let queue: number[] = [];
    for (let page = 0; page < this.pages; page++) if (this.place[page] === 1) queue.push(page);
    if (this.order.kind === 'coldest' || this.order.kind === 'counter') {
      queue = queue.sort((left, right) => this.rewrites[left]! - this.rewrites[right]!);
    }
    // What is held must leave room to read on.
    if (queue.length === 0 && this.count(this.place, 2) > this.waitingPagesMax / 2) {
      for (let page = 0; page < this.pages; page++) if (this.place[page] === 2) queue.push(page);
    }
    for (const page of queue) {
      if (this.linkCredit < 1) return;
      this.linkCredit--;
      this.place[page] = 0;
      this.sent++;
      this.resent += this.sentOnce[page]!;
      this.sentOnce[page] = 1;
    }
    this.linkCredit = 0;
  }

  run(): ToyResult {
    const endMs = this.options.endMs ?? 300_000;
    const operator = [...(this.options.operator ?? [])];
    this.tell({ kind: 'tick', snapshot: this.snapshot() });
    while (this.end === null && this.nowMs < endMs) {
      this.nowMs += ENGINE_TICK_MS;
      for (const page of this.options.write(this)) this.dirty[page] = 1;
      this.qemu();
      if (this.end === null) this.send();
      while (this.end === null && operator.length > 0 && operator[0]!.atMs <= this.nowMs)
        this.tell(operator.shift()!.fact);
      if (this.end === null) this.tell({ kind: 'tick', snapshot: this.snapshot() });
    }
    return this.result();
  }

  result(): ToyResult {
    const rest = new Uint8Array(this.pages);
    for (const page of this.passList) rest[page] = 1;
    for (let page = 0; page < this.pages; page++)
      if (this.place[page] !== 0 || this.dirty[page] === 1) rest[page] = 1;
    const restPages = this.count(rest, 1);
    const downtimeMs = (restPages * 1000) / this.link + FIXED_MS;
    const { end } = this;
    return {
      state: this.state,
      commands: this.commands,
      decidedAtMs: end === null ? null : this.nowMs,
      end: end ?? { kind: 'still-running' },
      uninvited: this.uninvited,
      downtimePredictedMs: end?.kind === 'stop-and-copy' ? end.downtimePredictedMs : null,
      downtimeMs,
      totalMs: this.nowMs + downtimeMs,
      sentPages: this.sent + restPages,
      hold: this.hold,
    };
  }
}

/** `perSecond` writes a second, uniform over the first `hot` pages. */
export function uniformWrites(hot: number, perSecond: number): ToyOptions['write'] {
  return function* ({ prng }) {
    const writes = (perSecond * ENGINE_TICK_MS) / 1000;
    for (let write = 0; write < writes; write++) yield prng.below(hot);
  };
}
