/**
 * The source gateway: takes QEMU's stream apart page by page, keeps the newest copy of each page, and sends what the
 * rules chose. It obeys: which page, which hold and when to stop are the engine's; it owns the sockets, the ack and how much waits.
 */

import { assert, freeMemory } from '../../base/index.ts';
import { PageStore, tickOfMs } from '../../pages/index.ts';
import {
  COMMAND,
  type RamSetup,
  type ReturnPathMessage,
  StreamDecoder,
  type StreamSink,
  type Tail,
} from '../../stream/index.ts';
import { PassRecorder } from '../../trace/index.ts';
import {
  type Hold,
  type IterationStats,
  type Order,
  PAGE_SIZE_BYTES,
  type Snapshot,
} from '../../vm/index.ts';
import { gatewayErrors } from '../errors.ts';
import type { PageOutput } from '../output/types.ts';
import { BandwidthCap } from './bandwidth-cap.ts';
import { DeltaSample } from './delta-sample.ts';
import { IntakeRate } from './intake-rate.ts';
import { Linger } from './linger.ts';
import type { SourceGatewayEvents, SourceGatewayOptions } from './options.ts';
import { Passes } from './passes.ts';
import { PostCopyStage } from './post-copy-stage.ts';
import { isFilled, ReadGate, underWayBytes, waitingPages } from './read-gate.ts';
import { ReturnGate } from './return-gate.ts';
import { SourceSocket } from './socket.ts';

/** Batches sent before other sockets are looked at again. */
const BATCHES_A_TURN = 16;
export class SourceGateway {
  readonly #options: SourceGatewayOptions;
  readonly #events: SourceGatewayEvents;
  readonly #output: PageOutput;
  readonly #decoder: StreamDecoder;
  readonly #gate: ReadGate;
  readonly #batch = new Uint32Array(1024);
  readonly #source: SourceSocket;
  #store: PageStore | null = null;
  #startMs = 0;
  readonly #passes = new Passes();
  readonly #intake = new IntakeRate();
  #stopAndCopy = false;
  /** Held pages go too, once nothing else waits. */
  #heldGoes = false;
  #tail: Tail | null = null;
  readonly #postCopy = new PostCopyStage();
  /** The clock as the page store wants it; read once a chunk, not once a page. */
  #tick = 0;
  readonly #lateCommands: Uint8Array[] = [];
  #drained: (() => void) | null = null;
  #pumpQueued = false;
  readonly #linger = new Linger(() => this.pump());
  #sentBytesCounted = 0;
  #deltas: DeltaSample | null = null;
  #recorder: PassRecorder | null = null;
  readonly #back = new ReturnGate((raw) => this.#source.write(raw));
  #closed = false;
  readonly #cap: BandwidthCap;

  constructor(output: PageOutput, options: SourceGatewayOptions, events: SourceGatewayEvents) {
    this.#output = output;
    this.#options = options;
    this.#cap = new BandwidthCap(options.bandwidthBytesPerSecondMax);
    this.#events = events;
    this.#gate = new ReadGate(options.ackGate);
    this.#source = new SourceSocket({
      onData: (chunk) => this.#onData(chunk),
      onClose: (cause) => {
        if (this.#tail === null) this.#fail(gatewayErrors.sourceClosed(cause));
      },
    });
    this.#decoder = new StreamDecoder({ capabilities: options.capabilities }, this.#sink());
  }

  async listen(): Promise<void> {
    await this.#source.listen(this.#options.listenPath, this.#options.ownerOf);
    this.#startMs = this.#options.clock.nowMs();
  }

  #nowMs(): number {
    return this.#options.clock.nowMs() - this.#startMs;
  }

  #onData(chunk: Uint8Array): void {
    this.#tick = tickOfMs(this.#nowMs());
    try {
      this.#decoder.write(chunk);
      freeMemory(chunk);
      if (this.#passes.firstIsDone) this.#intake.arrived(this.#nowMs(), this.#store!.arrivedPages);
      this.#steerReading();
      this.#schedulePump();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Copied, as pages are: the chunk they came in is freed. */
  #forward(raw: Uint8Array): void {
    this.#output.forward(Uint8Array.from(raw));
  }

  #sink(): StreamSink {
    return {
      onHeader: (raw) => this.#forward(raw),
      onConfiguration: (_configuration, raw) => this.#forward(raw),
      onCommand: (command, _payload, raw) => {
        // Announces the final stage; the pages we still hold must reach the destination before it.
        if (command === COMMAND.switchoverStart) this.#lateCommands.push(Uint8Array.from(raw));
        else this.#forward(raw);
      },
      onRamSetup: (setup, raw) => this.#onRamSetup(setup, raw),
      onEarlySection: (_section, raw) => this.#forward(raw),
      onPage: (pageIndex, buffer, offset) => {
        this.#recorder?.page(pageIndex);
        this.#deltas?.look(this.#store!, pageIndex, buffer, offset);
        this.#store!.put(pageIndex, this.#tick, buffer, offset);
      },
      onZeroPage: (pageIndex) => {
        this.#recorder?.zeroPage(pageIndex);
        this.#store!.putZero(pageIndex, this.#tick);
      },
      onRamSectionEnd: () => undefined,
      onTail: (tail) => {
        this.#tail = tail;
        this.#events.onStateComplete?.();
      },
      onPassThrough: (passThrough) => {
        this.#postCopy.begin(passThrough);
        this.enterStopAndCopy();
      },
      onPassThroughBytes: (bytes) => this.#postCopy.keep(bytes),
    };
  }

  #onRamSetup(setup: RamSetup, raw: Uint8Array): void {
    const { pageCount } = setup.layout;
    this.#store = new PageStore({
      pageCount,
      memoryBytesMax: this.#options.memoryBytesMax,
      references: this.#output.keepsReferences,
      ...(this.#options.readyChunk ? { readyChunk: this.#options.readyChunk } : {}),
      onChunk: (chunk, memory) => this.#output.onChunk?.(chunk, memory),
    });
    if (this.#options.deltas && this.#output.keepsReferences) this.#deltas = new DeltaSample();
    this.#gate.beginRam(this.#options.clock.nowMs());
    const { record } = this.#options;
    if (record) this.#recorder = PassRecorder.start(record, pageCount, this.#nowMs());
    this.#forward(raw);
    this.#output.open(setup);
    this.#events.onLayout(setup);
  }

  /** Reads on while there is room, while passes are spaced, and while no more waits than may. */
  #steerReading(): void {
    this.#source.setWaiting(this.#mustWait());
  }

  #mustWait(): boolean {
    const store = this.#store;
    if (store === null) return false;
    if (this.#postCopy.isLast) return this.#postCopy.mustWait;
    if (this.#gate.isFull(store)) return true;
    if (this.#stopAndCopy) return false;
    if (!this.#options.absorb && isFilled(store)) return true;
    const waitingBytes = waitingPages(store) * PAGE_SIZE_BYTES + underWayBytes(this.#output.facts);
    return this.#gate.isShut(this.#options.clock.nowMs(), waitingBytes);
  }

  #schedulePump(): void {
    if (this.#pumpQueued) return;
    this.#pumpQueued = true;
    setImmediate(() => {
      this.#pumpQueued = false;
      this.pump();
    });
  }

  /** Called when the output has room again, and after every read. */
  pump(): void {
    const store = this.#store;
    if (!store || this.#closed) return;
    for (let batches = 0; ; batches++) {
      // Zero pages hardly use room: let QEMU and the far end have their turn.
      if (batches === BATCHES_A_TURN) {
        this.#schedulePump();
        break;
      }
      const capPages = this.#cap.allowancePages(this.#nowMs(), this.#output.facts.sentBytes);
      this.#output.measure?.();
      const outputRoom = this.#output.roomPages();
      if (outputRoom === 0) this.#output.awaitRoom?.();
      const room = Math.min(outputRoom, capPages);
      if (room <= 0) break;
      if (!this.#isLast && this.#linger.waits(this.#readyPages(store))) break;
      let count = store.index.take(Math.min(room, this.#batch.length), this.#batch);
      if (count === 0 && this.#heldGoes) count = store.index.takeHeld(room, this.#batch);
      if (count === 0 && this.#gate.mustSpill(store)) {
        if (store.index.spill(room) === 0) break;
        continue;
      }
      if (count === 0) {
        this.#output.starved();
        break;
      }
      this.#output.sendPages(this.#batch, count, store);
    }
    store.index.countSentBytes(this.#output.facts.sentBytes - this.#sentBytesCounted);
    this.#sentBytesCounted = this.#output.facts.sentBytes;
    this.#steerReading();
    if (this.#drained && this.#isLast && waitingPages(store) === 0) {
      this.#drained();
      this.#drained = null;
    }
  }

  /** QEMU hands over no more pages. */
  get #isLast(): boolean {
    return this.#tail !== null || this.#postCopy.isLast;
  }

  #readyPages({ index }: PageStore): number {
    return index.queuedPages + (this.#heldGoes ? index.heldPages : 0);
  }

  /** From now on, until the VM is stopped; null: no cap. */
  setBandwidthMax(bytesPerSecond: number | null): void {
    if (!this.#stopAndCopy) this.#cap.set(bytesPerSecond, this.#nowMs(), this.#output.facts.sentBytes);
    this.#schedulePump();
  }

  /** QEMU announced pass `passes` (event MIGRATION_PASS). */
  notePass(passes: number): void {
    const nowMs = this.#options.clock.nowMs();
    this.#gate.beginPass(nowMs, this.#passes.begin(nowMs, passes));
    if (this.#passes.firstIsDone) this.#recorder?.beginPass(this.#nowMs()); // The first began with the stream.
    this.#steerReading();
  }

  /** Queued here, or handed over and not loaded by the destination QEMU yet. */
  get restPages(): number {
    const unloaded = this.#output.facts.unloadedPages ?? underWayBytes(this.#output.facts) / PAGE_SIZE_BYTES;
    return (this.#store?.index.queuedPages ?? 0) + unloaded;
  }

  get passes(): number {
    return this.#passes.count;
  }

  /** What QEMU has not handed over counts as much as what waits here. */
  get keepsQemuWaiting(): boolean {
    return this.#gate.keepsQemuWaiting;
  }

  /** What QEMU itself says is left in this pass; asked for while it is kept waiting. */
  noteRemaining(remainingPages: number): void {
    this.#passes.remainingPages = remainingPages;
  }

  /** Without the ack: no more than this is taken from QEMU before some has arrived. Nothing is read before it was called. */
  setWaitingMax(waitingBytesMax: number): void {
    this.#gate.waitingBytesMax = waitingBytesMax;
    this.#steerReading();
  }

  /** The VM is about to be stopped: passes need not be apart any more. False without the ack: then a short pass invites QEMU to stop by itself. */
  hurryPasses(heldGoes: boolean): boolean {
    this.#heldGoes = this.#options.ackGate && heldGoes;
    if (this.#options.ackGate) this.#gate.hurry();
    this.#steerReading();
    return this.#options.ackGate;
  }

  /** The VM has stopped: the rest is read as fast as it comes, whatever waits. */
  readRest(): void {
    this.#gate.open();
    this.#steerReading();
  }

  setRules(hold: Hold, order: Order, closePasses: boolean): void {
    this.#store?.index.setHold(hold);
    this.#store?.index.setOrder(order);
    this.#gate.setClose(closePasses);
    this.#schedulePump();
  }

  endIteration(): IterationStats {
    assert(this.#store, 'an iteration ends after the stream began');
    const stats = this.#store.index.endIteration({
      nowMs: this.#nowMs(),
      passes: this.#passes.endIteration(),
      bandwidthBytesPerSecond: this.#output.facts.bandwidthBytesPerSecond,
    });
    this.#schedulePump();
    return stats;
  }

  /** null before the stream began. Called every tick: it also looks after reading and sending. */
  snapshot(): Snapshot | null {
    if (!this.#store) return null;
    this.#schedulePump();
    const { facts } = this.#output;
    if (facts.wholePageBytes !== undefined) {
      this.#store.index.setEncodedBytesEstimate(facts.wholePageBytes);
      this.#store.index.setDeltaHold(this.#deltas?.payingBytes(facts.wholePageBytes) ?? null);
    }
    return {
      ...this.#store.index.snapshot(),
      arrivedPages: this.#store.arrivedPages,
      firstPassDone: this.#passes.firstIsDone,
      passes: this.#passes.count,
      sinceSyncMs: this.#passes.sinceSyncMs(this.#options.clock.nowMs()),
      bandwidthBytesPerSecond: facts.bandwidthBytesPerSecond,
      roundTripMs: facts.roundTripMs,
      memoryBytes: this.#store.memoryBytes,
      memoryBytesMax: this.#options.memoryBytesMax,
      gateHeld: this.#back.keeps('switchover-ack'),
      underWayBytes: underWayBytes(this.#output.facts),
      appliedPagesPerSecond: this.#intake.slowerOf(facts.appliedPagesPerSecond ?? null),
      ...(this.keepsQemuWaiting ? { sourceRemainingPages: this.#passes.remainingPages } : {}),
    };
  }

  /** A message on the destination QEMU's return path. */
  onReturnPath(message: ReturnPathMessage, raw: Uint8Array): void {
    this.#back.take(message, raw);
  }

  /** The VM is stopped by command: what still flows is final, everything goes, and QEMU may complete. */
  enterStopAndCopy(): void {
    this.setBandwidthMax(null);
    this.#stopAndCopy = true;
    this.#heldGoes = true;
    this.#store?.index.setStopAndCopy(true);
    this.#back.letGo('switchover-ack');
    this.#steerReading();
    this.#schedulePump();
  }

  /** QEMU was told to go on in post-copy: what keeps it from that is let go. */
  invitePostCopy(): void {
    this.#postCopy.invite();
    this.#back.letGo('switchover-ack');
    this.readRest();
  }

  get isInPostCopy(): boolean {
    return this.#postCopy.hasBegun;
  }

  /** Lets go what was kept back since post-copy began, and everything after it as it is: RUN is among it. */
  passOn(): void {
    const socket = this.#source.take();
    assert(socket && this.#output.passOn, 'post-copy has begun, on an output for it');
    this.#back.letGo('shut');
    this.#output.passOn(socket, this.#postCopy.take());
  }

  /** Resolves when QEMU has nothing more to say before the VM may go, and every page has been handed over. */
  drained(): Promise<void> {
    return new Promise((resolve) => {
      this.#drained = resolve;
      this.pump();
    });
  }

  /** Ends the stream; resolves when the destination proved that RAM and devices are loaded. See PageOutput.complete. */
  complete(): Promise<void> {
    assert(this.#tail, 'the device sections have arrived');
    return this.#output.complete({ ...this.#tail, lateCommands: this.#lateCommands });
  }

  /** Tells the source QEMU that the destination loaded everything: its migration completes. */
  releaseSource(): void {
    this.#back.letGo('shut');
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.close();
    this.#events.onError(error);
  }

  /** Closes both sides; before COMMIT the source QEMU then fails its migration and keeps its VM. */
  close(): void {
    if (!this.#closed) this.#recorder?.end();
    this.#linger.close();
    this.#closed = true;
    this.#source.close();
    this.#output.close();
  }
}
