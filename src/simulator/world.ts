/**
 * Guest, QEMU, gateway and link on a virtual clock: what moves in a stretch of time. The page index is the
 * live one; QEMU is its way of scanning (passes over the dirty bitmap in address order, a sync when one is
 * done), the link a queue of bytes.
 * Not responsible for asking the engine (driver.ts), nor for judging the end (run.ts).
 */

import { assert, smoothed } from '../base/index.ts';
import { heatTickOf, PageIndex } from '../pages/index.ts';
import { STEP_MS } from '../trace/index.ts';
import { PAGE_SIZE_BYTES, type Snapshot } from '../vm/index.ts';
import { bytesOfStale, type Coding } from './coding.ts';
import { Ledger } from './ledger.ts';
import { LinkModel } from './link.ts';
import { type RunPipeline, runPipelineOf } from './pipeline/run-pipeline.ts';
import { MODEL, type SimulationOptions } from './types.ts';

const BATCH_PAGES = 4096;
/** Of a pass whose end is withheld: the gateway knows only about how many pages it has. */
const WITHHELD_SHARE = 0.05;
/** Weight of a batch in the estimate of what a page costs. */
const ESTIMATE_WEIGHT = 0.1;

export class World {
  readonly options: SimulationOptions;
  readonly ledger: Ledger;
  readonly index: PageIndex;
  readonly link: LinkModel;
  readonly coding: Coding;
  readonly run: RunPipeline;
  /** Pages go through a gateway; without one the index stands for QEMU's socket. */
  readonly gateway: boolean;
  /** Passes follow each other closely, because the rule wants to know freshly what is dirty. */
  closePasses = false;
  /** The end of the running pass is left unread. */
  withholdsPass = false;
  readonly #passSpacingMs: number;
  /** A pass counts as done with this many pages left: without a gateway, QEMU looks at what is pending. */
  readonly passDonePages: number;
  /** Execution logs go to the destination instead of pages (trace-replay); null: pages. */
  readonly logBytesPerSecond: number | null;
  readonly #batch = new Uint32Array(BATCH_PAGES);
  readonly #slotsMax: number;
  readonly #waitingPagesMax: number;
  #nowMs = 0;
  /** When the checkpoint was complete, where logs are shipped. */
  #checkpointMs: number | null = null;
  #guestSteps = 0;
  #guestCredit = 0;
  #throttleShare = 0;
  #passes = 1;
  #syncMs = 0;
  #stopped = false;
  #heldGoes = false;
  /** Reading took longer than a stretch by so much. */
  #readDebtMs = 0;
  #takenPages = 0;
  #takenAtSync = 0;
  #passPagesAtSync = 0;
  #lastPass: NonNullable<Snapshot['lastPass']> | null = null;
  #encodedBytes: number;

  constructor(options: SimulationOptions, passDonePages: number) {
    const { guest, strategy } = options;
    this.options = options;
    this.gateway = strategy.mechanism === 'gateway';
    this.#passSpacingMs = this.gateway ? MODEL.passSpacingMs : MODEL.qemuPassSpacingMs;
    this.passDonePages = passDonePages;
    const logs = strategy.mechanism === 'model-only' ? options.parameters['logBytesPerSecond'] : undefined;
    this.logBytesPerSecond = logs ?? null;
    this.ledger = new Ledger(guest.pageCount, guest.content.firstPage + guest.content.pageCount);
    this.index = new PageIndex(guest.pageCount);
    this.run = runPipelineOf(options);
    this.coding = this.run.coding;
    this.link = new LinkModel(options.linkBytesPerSecond, this.run.bytesPerSecond);
    this.#slotsMax = Math.floor((options.gatewayMemoryBytesMax - this.#bookkeepingBytes) / PAGE_SIZE_BYTES);
    assert(this.#slotsMax > BATCH_PAGES || !this.gateway, 'the gateway has memory for a batch of pages');
    if (!this.gateway) this.#waitingPagesMax = MODEL.socketPages;
    else this.#waitingPagesMax = strategy.absorb ? Number.POSITIVE_INFINITY : MODEL.noAbsorbPages;
    this.#encodedBytes = this.coding.wholeBytes;
    this.index.setEncodedBytesEstimate(this.#encodedBytes);
    // The live gateway finds by sampling whether deltas pay (delta-sample.ts). Where they do, a hot page is
    // sent once before it is held.
    const { againBytes, wholeBytes } = this.coding;
    if (againBytes < wholeBytes * MODEL.payingDeltaShare) this.index.setDeltaHold(againBytes);
  }

  get nowMs(): number {
    return this.#nowMs;
  }
  get checkpointMs(): number | null {
    return this.#checkpointMs;
  }
  get throttleShare(): number {
    return this.#throttleShare;
  }
  set throttleShare(share: number) {
    this.#throttleShare = share;
  }
  get passes(): number {
    return this.#passes;
  }
  get sentPages(): number {
    return this.index.snapshot().sentPages;
  }
  /** Pages written, taken out of QEMU, and sent. */
  get pageEvents(): number {
    return this.ledger.dirtiedPages + this.#takenPages + this.sentPages;
  }

  // The live store keeps the same: the index, and a slot number a page.
  get #bookkeepingBytes(): number {
    return this.index.byteLength + this.options.guest.pageCount * 4;
  }

  get memoryBytes(): number {
    return this.#bookkeepingBytes + this.#waitingPages * PAGE_SIZE_BYTES;
  }

  get #waitingPages(): number {
    return this.index.queuedPages + this.index.heldPages;
  }

  /** All that the destination lacks, as bytes on the link, were the VM stopped now. */
  get staleBytes(): number {
    return bytesOfStale(this.coding, this.ledger);
  }

  get drained(): boolean {
    return this.ledger.passPages === 0 && this.#waitingPages === 0;
  }

  /** `durationMs` of guest time (less what a throttle takes), QEMU and link. */
  advance(durationMs: number): void {
    assert(durationMs > 0, 'time goes on');
    const fromMs = this.#nowMs;
    this.#nowMs += durationMs;
    if (!this.#stopped) this.#runGuest(durationMs);
    if (this.#checkpointMs !== null) this.link.send((this.logBytesPerSecond! * durationMs) / 1000, fromMs);
    this.#transfer(fromMs);
    assert(
      !this.gateway || this.#waitingPages <= this.#slotsMax,
      `the gateway keeps to its memory: ${this.#waitingPages} pages, at most ${this.#slotsMax}`,
    );
  }

  #runGuest(durationMs: number): void {
    this.#guestCredit += (durationMs * (1 - this.#throttleShare)) / STEP_MS;
    while (this.#guestCredit >= 1 - 1e-9) {
      this.#guestCredit -= 1;
      this.options.guest.writeStep(this.#guestSteps++, this.ledger);
    }
  }

  /** QEMU and the link take turns, so that back-pressure has its effect within the stretch. */
  #transfer(fromMs: number): void {
    const { handOverPagesPerSecond } = this.run.pipeline;
    let readableMs = this.#nowMs - fromMs - this.#readDebtMs;
    for (;;) {
      const pages = Math.ceil((Math.max(0, readableMs) * handOverPagesPerSecond) / 1000);
      const { read, tookMs } = this.#read(Math.min(pages, BATCH_PAGES));
      readableMs -= tookMs;
      this.#readDebtMs = Math.max(0, -readableMs);
      // Absorbed pages are all read before any is sent: what comes in one stretch is coalesced.
      if (read === BATCH_PAGES && this.#waitingPagesMax === Number.POSITIVE_INFINITY) continue;
      if (!this.#send(fromMs) && read === 0) return;
    }
  }

  #read(pages: number): { readonly read: number; readonly tookMs: number } {
    const most = this.#stopped ? Number.POSITIVE_INFINITY : this.#waitingPagesMax;
    // A socket fills up by bytes: zero pages hardly count.
    const queued =
      most === Number.POSITIVE_INFINITY ? 0 : this.index.backlog().queuedBytes / this.coding.wholeBytes;
    const withheld = this.withholdsPass ? Math.ceil(WITHHELD_SHARE * this.#passPagesAtSync) : 0;
    const readable = Math.max(0, this.ledger.passPages - withheld);
    const room = Math.min(readable, this.#slotsMax - this.#waitingPages, Math.floor(most - queued));
    const count = this.ledger.take(Math.min(pages, room), this.#batch);
    const heatTick = heatTickOf(this.#nowMs);
    let zeroPages = 0;
    for (let at = 0; at < count; at++) {
      const page = this.#batch[at]!;
      const isZero = this.ledger.isZero(page);
      if (isZero) zeroPages++;
      this.index.arrive(page, heatTick, isZero);
    }
    this.#takenPages += count;
    const kinds = { wholePages: count - zeroPages, deltaPages: 0, zeroPages };
    return { read: count, tookMs: this.run.pipeline.handOverMs(kinds) };
  }

  /** One batch as far as the stretch carries it; false when nothing could go. */
  #send(fromMs: number): boolean {
    const roomMs = this.link.roomMs(fromMs, this.#nowMs);
    if (roomMs <= 0) return false;
    // Counted as whole pages: a batch must not put more on the link than it carries, whatever pages are in
    // it.
    const roomPages = Math.ceil((roomMs * this.run.bytesPerSecond) / 1000 / this.coding.wholeBytes);
    const most = Math.max(1, Math.min(BATCH_PAGES, roomPages));
    let count = this.index.take(most, this.#batch);
    if (count === 0 && this.#heldGoes) count = this.index.takeHeld(most, this.#batch);
    if (count === 0) return this.#spill(most);
    const { bytes, leastMs } = this.#deliver(count);
    this.link.send(bytes, fromMs, leastMs);
    this.index.countSentBytes(bytes);
    return true;
  }

  /** The batch's first `count` pages arrive; returns what they cost on the link and the slowest stage. */
  #deliver(count: number): { readonly bytes: number; readonly leastMs: number } {
    const { coding, ledger } = this;
    let zero = 0;
    let again = 0;
    for (let at = 0; at < count; at++) {
      const page = this.#batch[at]!;
      if (ledger.isZero(page)) zero++;
      // Both ends keep the last copy of pages that are likely to come again (src/pages/references.ts).
      else if (ledger.wasDelivered(page) && this.index.isRecent(page)) again++;
      ledger.deliver(page);
    }
    const whole = count - zero - again;
    const bytes = whole * coding.wholeBytes + again * coding.againBytes;
    if (count > zero) {
      this.#encodedBytes = smoothed(this.#encodedBytes, bytes / (count - zero), ESTIMATE_WEIGHT);
      this.index.setEncodedBytesEstimate(this.#encodedBytes);
    }
    const isDelta = coding.againBytes < coding.wholeBytes;
    const kinds = {
      wholePages: isDelta ? whole : whole + again,
      deltaPages: isDelta ? again : 0,
      zeroPages: zero,
    };
    return { bytes: bytes + zero * coding.zeroBytes, leastMs: this.run.pipeline.sendMs(kinds) };
  }

  /**
   * All that the gateway keeps is held, and nothing more fits: only sending some of it makes room. As in
   * src/gateway/source/source.ts.
   */
  #spill(pages: number): boolean {
    return this.#waitingPages >= this.#slotsMax && this.index.spill(pages) > 0;
  }

  /** QEMU has sent the running pass, and the next may begin. */
  get passIsDue(): boolean {
    const spacingMs = this.gateway && this.closePasses ? MODEL.closePassSpacingMs : this.#passSpacingMs;
    return this.ledger.passPages <= this.passDonePages && this.#nowMs - this.#syncMs >= spacingMs;
  }

  beginPass(): void {
    if (this.#passes >= 2) {
      const pages = this.#takenPages - this.#takenAtSync;
      this.#lastPass = { pages, durationMs: this.#nowMs - this.#syncMs };
    }
    this.#takenAtSync = this.#takenPages;
    // With execution logs the first pass is a checkpoint: what is written after it is in the log.
    if (this.logBytesPerSecond === null) this.ledger.sync();
    else this.#checkpointMs ??= this.#nowMs;
    this.#passes++;
    this.#syncMs = this.#nowMs;
    this.#passPagesAtSync = this.ledger.passPages;
  }

  /**
   * The VM is about to be stopped: QEMU is read as fast as it goes. `heldGoes`: held pages are sent when
   * nothing else waits.
   */
  hurry(heldGoes: boolean): void {
    this.#heldGoes = heldGoes;
    this.withholdsPass = false;
  }

  /** The VM is stopped: what is dirty now is final, and everything is sent. */
  stop(): void {
    this.hurry(true);
    this.#stopped = true;
    this.index.setStopAndCopy(true);
  }

  /** Of whole pages, by the slowest stage: a link that is faster is not seen to be. */
  get measuredBytesPerSecond(): number | null {
    return this.link.measuredBytesPerSecond;
  }

  snapshot(): Snapshot {
    const { pipeline } = this.run;
    // Single tells it once it sends deltas; whole pages say nothing but what the link carries.
    const { arrangement } = this.options;
    const isDelta = this.coding.againBytes < this.coding.wholeBytes;
    const tellsEnds = this.gateway && (arrangement === 'paired' || isDelta);
    return {
      ...this.index.snapshot(),
      arrivedPages: this.#takenPages,
      firstPassDone: this.#passes >= 2,
      passes: this.#passes,
      sinceSyncMs: this.#nowMs - this.#syncMs,
      bandwidthBytesPerSecond: this.measuredBytesPerSecond,
      roundTripMs: this.options.roundTripMs,
      memoryBytes: this.memoryBytes,
      memoryBytesMax: this.options.gatewayMemoryBytesMax,
      gateHeld: this.gateway,
      sourceRemainingPages: this.ledger.passPages,
      lastPass: this.#lastPass,
      passPages: this.#takenPages - this.#takenAtSync + this.ledger.passPages,
      handOverPagesPerSecond: pipeline.handOverPagesPerSecond,
      zeroPagesPerSecond: pipeline.zeroPagesPerSecond,
      slowerEndPagesPerSecond: tellsEnds
        ? Math.min(pipeline.handOverPagesPerSecond, pipeline.deltaPagesPerSecond)
        : null,
    };
  }
}
