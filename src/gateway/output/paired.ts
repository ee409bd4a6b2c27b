/**
 * The paired arrangement's output: pages go over the link as batches of what changed since the copy that the
 * destination QEMU has. It joins the parts: lane order, copies that are being encoded, what pages cost,
 * windows, the proof at the end. Not responsible for which page goes (the store), for connections (the link),
 * or for how a batch is written (the codec).
 */

import { assert, type Clock } from '../../base/index.ts';
import { type Link, type Message, OPAQUE_BYTES_MAX } from '../../link/index.ts';
import { type BatchStats, PackChooser, type PageStore } from '../../pages/index.ts';
import { type RamSetup, ReturnPathDecoder } from '../../stream/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { encodeTail, parseApplied, type StreamFacts } from '../destination/pair-messages.ts';
import { gatewayErrors } from '../errors.ts';
import { BatchMemory } from './batch-memory.ts';
import { EncodingCopies } from './encoding-copies.ts';
import { LaneOrder } from './lane-order.ts';
import { LinkRate } from './link-rate.ts';
import { totalsOf } from './link-totals.ts';
import { linkWindowBytes, WINDOW_BYTES_MIN } from './link-window.ts';
import { type BatchCost, PageCost } from './page-cost.ts';
import { PageWindow } from './page-window.ts';
import { TransferProof } from './transfer-proof.ts';
import type { BatchEncoding, OutputEvents, OutputFacts, PageOutput, StateTail, TimedBatch } from './types.ts';

const BATCH_PAGES_MAX = 1024;
const BATCH_PAGES_MIN = 32;
/**
 * A page whose cost is next to nothing is counted with so much, or the link would seem to hold
 * any number of them.
 */
const PAGE_BYTES_MIN = 16;
/** A whole page's record around its content, and a delta's. */
const WHOLE_RECORD_BYTES = 4;
const DELTA_RECORD_BYTES = 3;
/** The link tells of acknowledgements only when asked. */
const ROOM_POLL_MS = 3;

export interface PairedOutputOptions {
  readonly link: Link;
  readonly encoding: BatchEncoding;
  readonly clock: Clock;
  readonly prepareTimeoutMs: number;
  /** False: no deltas. */
  readonly keepsReferences: boolean;
}

export class PairedOutput implements PageOutput {
  readonly #options: PairedOutputOptions;
  readonly #events: OutputEvents;
  readonly #chooser: PackChooser;
  readonly #returnPath: ReturnPathDecoder;
  readonly #lanes: LaneOrder;
  readonly #copies = new EncodingCopies();
  readonly #rate = new LinkRate();
  readonly #window = new PageWindow();
  readonly #cost = new PageCost();
  readonly #proof = new TransferProof();
  readonly #memory = new BatchMemory();
  #prepared: PromiseWithResolvers<void> | null = null;
  #closed = false;
  #poll: NodeJS.Timeout | null = null;

  constructor(options: PairedOutputOptions, events: OutputEvents) {
    this.#options = options;
    this.#events = events;
    this.#chooser = new PackChooser(options.encoding.encoders);
    this.#lanes = new LaneOrder(options.link.laneCount, BATCH_PAGES_MAX);
    this.#returnPath = new ReturnPathDecoder({
      onMessage: (message, raw) => events.onReturnPath(message, raw),
      onBitmapBytes: () => undefined,
    });
  }

  get keepsReferences(): boolean {
    return this.#options.keepsReferences;
  }

  onChunk(chunk: number, memory: SharedArrayBuffer): void {
    this.#options.encoding.onChunk(chunk, memory);
  }

  /** Messages of the destination gateway; the link's owner passes them on. */
  onMessage(message: Message): void {
    if (message.kind === 'return-path') this.#returnPath.write(message.bytes);
    else if (message.kind === 'prepared') {
      if (this.#proof.isMetBy(message)) this.#prepared?.resolve();
      else this.#fail(gatewayErrors.transferMismatch(this.#proof.pageTotal, message.pageCount));
    } else if (message.kind === 'control') this.#onApplied(message.text);
    else if (message.kind === 'abort') this.#fail(gatewayErrors.farSide(message.code, message.text));
  }

  #onApplied(text: string): void {
    const pages = parseApplied(text);
    if (pages === null || pages > this.#proof.pageTotal) return;
    this.#window.noteApplied(this.#options.clock.nowMs(), pages);
    this.#events.onRoom();
  }

  /** The link has ended; without an error only when we closed it. */
  onClosed(error: Error | null): void {
    if (error) this.#fail(error);
  }

  get facts(): OutputFacts {
    const { sentBytes, deliveredBytes, roundTripMs, link } = totalsOf(this.#options.link.stats());
    return {
      sentBytes,
      deliveredBytes,
      pendingBytes: this.#copies.pageCount * this.#cost.wholeBytes,
      bandwidthBytesPerSecond: this.#rate.bytesPerSecond,
      roundTripMs,
      wholePageBytes: this.#cost.wholeBytes,
      deltaPageBytes: this.#cost.deltaBytes,
      deltaRecordBytes: DELTA_RECORD_BYTES,
      appliedPagesPerSecond: this.#window.appliedPagesPerSecondMax,
      unloadedPages: this.#window.unloadedPages(this.#handedOverPages) ?? 0,
      link,
    };
  }

  /** Since the beginning: encoded, or being encoded. */
  get #handedOverPages(): number {
    return this.#proof.pageTotal + this.#copies.pageCount;
  }

  measure(): void {
    const { deliveredBytes, bufferedBytes } = totalsOf(this.#options.link.stats());
    this.#rate.observe(this.#options.clock.nowMs(), deliveredBytes, bufferedBytes);
  }

  forward(raw: Uint8Array): void {
    for (let at = 0; at < raw.length; at += OPAQUE_BYTES_MAX) {
      const bytes = raw.slice(at, at + OPAQUE_BYTES_MAX);
      this.#options.link.send(0, { kind: 'prologue', last: false, bytes });
    }
  }

  open(setup: RamSetup): void {
    const { link } = this.#options;
    const facts: StreamFacts = { kind: 'stream', sectionId: setup.sectionId, footers: setup.footers };
    link.send(0, { kind: 'control', text: JSON.stringify(facts) });
    const blocks = setup.layout.blocks.map(({ id, sizeBytes }) => ({ id, sizeBytes }));
    link.send(0, { kind: 'layout', blocks });
    // Pages travel on every lane; none may overtake what makes them readable.
    link.barrier().catch(() => undefined);
  }

  roomPages(): number {
    if (this.#closed) return 0;
    const totals = totalsOf(this.#options.link.stats());
    const windowBytes = linkWindowBytes(this.#rate.bytesPerSecond, totals.roundTripMsMin);
    const { wholeBytes } = this.#cost;
    // What is being encoded goes out too, at what pages cost lately.
    const roomBytes = windowBytes - totals.bufferedBytes - this.#copies.pageCount * wholeBytes;
    const byLink = Math.floor(roomBytes / Math.max(PAGE_BYTES_MIN, wholeBytes));
    const byEncoders = (this.#options.encoding.encoders + 1) * BATCH_PAGES_MAX - this.#copies.pageCount;
    const nowMs = this.#options.clock.nowMs();
    const byFarSide = this.#window.roomPages(nowMs, this.#handedOverPages, totals.roundTripMs);
    const room = Math.min(byLink, byEncoders, byFarSide, BATCH_PAGES_MAX);
    return room >= BATCH_PAGES_MIN ? room : 0;
  }

  awaitRoom(): void {
    if (this.#closed) return;
    this.#poll ??= setTimeout(() => {
      this.#poll = null;
      this.#events.onRoom();
    }, ROOM_POLL_MS);
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    this.#lanes.split(pages, count, (lane, ofLane) => this.#encode(lane, ofLane, store));
  }

  #encode(lane: number, pages: Uint32Array, store: PageStore): void {
    const copies = this.#copies.take(pages, store);
    const { slots, referenceSlots } = copies;
    const pack = this.#chooser.next(this.#rate.bytesPerSecond);
    const output = this.#memory.take();
    const encoded = this.#options.encoding.encode({ pages, slots, referenceSlots, pack }, output);
    const handOn = (batch: TimedBatch) => {
      this.#observe(batch, pages.length);
      this.#copies.settle(copies, store);
      this.#proof.count(pages.length, batch.checksum);
      this.#send(lane, batch, output);
      if (batch.bytes.length < WINDOW_BYTES_MIN) this.#events.onRoom();
    };
    this.#lanes.inOrder(lane, encoded, handOn, (error) => this.#fail(error));
  }

  #observe({ stats, encodeMs }: TimedBatch, pageCount: number): void {
    this.#cost.observe(costOf(stats));
    this.#chooser.observe({
      packedBytes: stats.packedPages * PAGE_SIZE_BYTES,
      storedBytes: stats.packedStoredBytes,
      encodeMs,
      pageBytes: pageCount * PAGE_SIZE_BYTES,
    });
  }

  /** `output`: memory that was offered for the batch, which is free again once nobody reads it. */
  #send(lane: number, { bytes, checksum }: TimedBatch, output: SharedArrayBuffer | null): void {
    const giveBack = () => output !== null && this.#memory.give(output);
    const usesOutput = bytes.buffer instanceof SharedArrayBuffer;
    if (!usesOutput) giveBack();
    if (this.#closed) return;
    const onArrived = usesOutput ? { onArrived: () => giveBack() } : {};
    this.#options.link.send(lane, { kind: 'pages', batch: bytes, ...onArrived }, checksum);
  }

  starved(): void {
    // The link measures its lanes only while they have something to deliver.
  }

  async complete(tail: StateTail): Promise<void> {
    await this.#lanes.allHandedOn();
    const { link, prepareTimeoutMs } = this.#options;
    this.#prepared = Promise.withResolvers<void>();
    const { promise, reject } = this.#prepared;
    link.barrier().catch(() => undefined);
    const bytes = encodeTail(tail);
    for (let at = 0; at < bytes.length; at += OPAQUE_BYTES_MAX) {
      const last = at + OPAQUE_BYTES_MAX >= bytes.length;
      link.send(0, { kind: 'tail', last, bytes: bytes.slice(at, at + OPAQUE_BYTES_MAX) });
    }
    link.send(0, {
      kind: 'prepare',
      nonce: 1,
      pageCount: this.#proof.pageTotal,
      checksum: this.#proof.checksum,
    });
    let timer: NodeJS.Timeout | undefined;
    let answered = false;
    const startToWait = () => {
      if (!answered)
        timer = setTimeout(() => reject(gatewayErrors.prepareTimeout(prepareTimeoutMs)), prepareTimeoutMs);
    };
    // The far side's time counts from the moment at which it has everything, however slow or
    // broken the link is.
    link.flush().then(startToWait, () => undefined);
    return promise.finally(() => {
      answered = true;
      clearTimeout(timer);
    });
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (this.#poll) clearTimeout(this.#poll);
    this.#options.encoding.close();
    if (this.#prepared === null) this.#options.link.abort(gatewayErrors.givenUp());
    else this.#options.link.close().catch(() => undefined);
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    assert(error instanceof Error, 'a failure is an error');
    this.close();
    this.#prepared?.reject(error);
    this.#events.onError(error);
  }
}

function costOf({ rawPages, packedPages, packedStoredBytes, deltaPages, deltaBytes }: BatchStats): BatchCost {
  const wholePages = rawPages + packedPages;
  return {
    wholePages,
    wholeBytes: rawPages * PAGE_SIZE_BYTES + packedStoredBytes + wholePages * WHOLE_RECORD_BYTES,
    deltaPages,
    deltaBytes: deltaBytes + deltaPages * DELTA_RECORD_BYTES,
  };
}
