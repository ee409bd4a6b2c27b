/**
 * The paired arrangement's output: pages go over the link as batches of what changed since the copy that the destination
 * QEMU has; that copy is kept here, while there is room. Not responsible for which page goes (the store), for connections (the link), or for how a batch is written (the codec).
 */

import { assert, type Clock, smoothed } from '../../base/index.ts';
import { type Link, laneOfPage, type Message, OPAQUE_BYTES_MAX } from '../../link/index.ts';
import { type BatchRequest, type EncodedBatch, PackChooser, type PageStore } from '../../pages/index.ts';
import { type RamSetup, ReturnPathDecoder } from '../../stream/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { encodeTail, hexChecksum, parseApplied, type StreamFacts } from '../destination/pair-messages.ts';
import { gatewayErrors } from '../errors.ts';
import { BatchMemory } from './batch-memory.ts';
import { LinkRate } from './link-rate.ts';
import { linkWindowBytes, WINDOW_BYTES_MIN } from './link-window.ts';
import { PageWindow } from './page-window.ts';
import type { OutputEvents, OutputFacts, PageOutput, StateTail } from './types.ts';

const BATCH_PAGES_MAX = 1024;
const BATCH_PAGES_MIN = 32;
/** The link tells of acknowledgements only when asked. */
const ROOM_POLL_MS = 3;
const ESTIMATE_WEIGHT = 0.1;

export interface TimedBatch extends EncodedBatch {
  /** In its encoder, without the wait for it. */
  readonly encodeMs: number;
}

/** Encodes batches, here or on other threads; results may come in any order. */
export interface BatchEncoding {
  readonly encoders: number;
  /** `output`: where a large result should lie; null: no such place is free. */
  encode(request: BatchRequest, output: SharedArrayBuffer | null): Promise<TimedBatch> | TimedBatch;
  /** Where the slots lie: a chunk of the store was taken, or given back (null). */
  onChunk(chunk: number, memory: SharedArrayBuffer | null): void;
  close(): void;
}

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
  readonly #lanes: { tail: Promise<void>; pages: Uint32Array; count: number }[];
  /** Pages being encoded now, by the number of their batch: their next batch cannot use the copy on the way as reference. */
  readonly #encoding = new Map<number, number>();
  readonly #rate = new LinkRate();
  readonly #window = new PageWindow();
  readonly #memory = new BatchMemory();
  #batchNumber = 0;
  #pendingPages = 0;
  #pageTotal = 0;
  #checksum = 0;
  #wholeBytes = PAGE_SIZE_BYTES;
  #deltaBytes: number | null = null;
  #prepared: { resolve(): void; reject(error: Error): void } | null = null;
  #closed = false;
  #poll: NodeJS.Timeout | null = null;

  constructor(options: PairedOutputOptions, events: OutputEvents) {
    this.#options = options;
    this.#events = events;
    this.#chooser = new PackChooser(options.encoding.encoders);
    this.#lanes = Array.from({ length: options.link.laneCount }, () => ({
      tail: Promise.resolve(),
      pages: new Uint32Array(BATCH_PAGES_MAX),
      count: 0,
    }));
    this.#returnPath = new ReturnPathDecoder({
      onMessage: (message, raw) => events.onReturnPath(message, raw),
      onBitmapBytes: () => undefined,
    });
  }

  get keepsReferences(): boolean {
    return this.#options.keepsReferences;
  }

  onChunk(chunk: number, memory: SharedArrayBuffer | null): void {
    this.#options.encoding.onChunk(chunk, memory);
  }

  /** Messages of the destination gateway; the link's owner passes them on. */
  onMessage(message: Message): void {
    if (message.kind === 'return-path') this.#returnPath.write(message.bytes);
    else if (message.kind === 'prepared') {
      if (message.pageCount === this.#pageTotal && message.checksum === hexChecksum(this.#checksum))
        this.#prepared?.resolve();
      else this.#fail(gatewayErrors.transferMismatch(this.#pageTotal, message.pageCount));
    } else if (message.kind === 'control') this.#onApplied(message.text);
    else if (message.kind === 'abort') this.#fail(gatewayErrors.farSide(message.code, message.text));
  }

  #onApplied(text: string): void {
    const pages = parseApplied(text);
    if (pages === null || pages > this.#pageTotal) return;
    this.#window.applied(this.#options.clock.nowMs(), pages);
    this.#events.onRoom();
  }

  /** The link has ended; without an error only when we closed it. */
  onClosed(error: Error | null): void {
    if (error) this.#fail(error);
  }

  get facts(): OutputFacts {
    const { sentBytes, deliveredBytes, roundTripMs, link } = this.#look();
    return {
      sentBytes,
      deliveredBytes,
      pendingBytes: this.#pendingPages * this.#wholeBytes,
      bandwidthBytesPerSecond: this.#rate.bytesPerSecond,
      roundTripMs,
      wholePageBytes: this.#wholeBytes,
      deltaPageBytes: this.#deltaBytes,
      appliedPagesPerSecond: this.#window.deltasPerSecond,
      unloadedPages: this.#window.unloadedPages(this.#pageTotal + this.#pendingPages) ?? 0,
      link,
    };
  }

  /** All lanes together: one that is idle while another has the link to itself must not count as a link of its own. */
  #look() {
    let sentBytes = 0;
    let deliveredBytes = 0;
    let bufferedBytes = 0;
    let roundTripMs: number | null = null;
    let roundTripMsMin: number | null = null;
    let reconnects = 0;
    let resentBytes = 0;
    const stats = this.#options.link.stats();
    for (const lane of stats) {
      reconnects += Math.max(0, lane.epoch - 1);
      resentBytes += lane.resentBytes;
      sentBytes += lane.sentBytes;
      deliveredBytes += lane.acknowledgedBytes;
      bufferedBytes += lane.bufferedBytes;
      roundTripMs ??= lane.roundTripMs;
      roundTripMsMin ??= lane.roundTripMsMin;
    }
    this.#rate.observe(this.#options.clock.nowMs(), deliveredBytes, bufferedBytes);
    const link = { connections: stats.length, reconnects, resentBytes };
    return { sentBytes, deliveredBytes, bufferedBytes, roundTripMs, roundTripMsMin, link };
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
    const { encoders } = this.#options.encoding;
    const { bufferedBytes, roundTripMs, roundTripMsMin } = this.#look();
    const windowBytes = linkWindowBytes(this.#rate.bytesPerSecond, roundTripMsMin);
    // What is being encoded goes out too, at what pages cost lately.
    const roomBytes = windowBytes - bufferedBytes - this.#pendingPages * this.#wholeBytes;
    const byLink = Math.floor(roomBytes / Math.max(16, this.#wholeBytes));
    const byEncoders = (encoders + 1) * BATCH_PAGES_MAX - this.#pendingPages;
    const handedOver = this.#pageTotal + this.#pendingPages;
    const byFarSide = this.#window.roomPages(this.#options.clock.nowMs(), handedOver, roundTripMs);
    const room = Math.min(byLink, byEncoders, byFarSide, BATCH_PAGES_MAX);
    if (room >= BATCH_PAGES_MIN) return room;
    this.#poll ??= setTimeout(() => {
      this.#poll = null;
      this.#events.onRoom();
    }, ROOM_POLL_MS);
    return 0;
  }

  sendPages(pages: Uint32Array, count: number, store: PageStore): void {
    for (let at = 0; at < count; at++) {
      const lane = this.#lanes[laneOfPage(pages[at]!, this.#lanes.length)]!;
      lane.pages[lane.count++] = pages[at]!;
    }
    for (const [index, lane] of this.#lanes.entries()) {
      if (lane.count > 0) this.#submit(index, lane.pages.slice(0, lane.count), store);
      lane.count = 0;
    }
  }

  #submit(lane: number, pages: Uint32Array, store: PageStore): void {
    const number = ++this.#batchNumber;
    const count = pages.length;
    const slots = new Int32Array(count);
    const referenceSlots = new Int32Array(count);
    for (let at = 0; at < count; at++) {
      const page = pages[at]!;
      slots[at] = store.takeSlot(page);
      referenceSlots[at] = store.takeReferenceSlot(page);
      this.#encoding.set(page, number);
    }
    this.#pendingPages += count;
    const pack = this.#chooser.next(this.#rate.bytesPerSecond);
    const output = this.#memory.take();
    const request = { pages, slots, referenceSlots, pack };
    const encoded = this.#options.encoding.encode(request, output);
    const done = (batch: TimedBatch) => {
      this.#observe(batch, count);
      this.#settle(number, request, store);
      this.#checksum = (this.#checksum + batch.checksum) >>> 0;
      this.#pageTotal += count;
      const giveBack = () => output !== null && this.#memory.give(output);
      const usesOutput = batch.bytes.buffer instanceof SharedArrayBuffer;
      if (!usesOutput) giveBack();
      const onArrived = usesOutput ? { onArrived: () => giveBack() } : {};
      this.#send(lane, { kind: 'pages', batch: batch.bytes, ...onArrived }, batch.checksum);
      if (batch.bytes.length < WINDOW_BYTES_MIN) this.#events.onRoom();
    };
    const state = this.#lanes[lane]!;
    // The lane's order is the page's order, whichever thread was faster.
    state.tail = Promise.all([encoded, state.tail])
      .then(([batch]) => done(batch))
      .catch((error: Error) => this.#fail(error));
  }

  /** The batch is on its way: its copies become references, the old ones are free. */
  #settle(
    number: number,
    batch: { pages: Uint32Array; slots: Int32Array; referenceSlots: Int32Array },
    store: PageStore,
  ): void {
    const { pages, slots, referenceSlots } = batch;
    for (let at = 0; at < pages.length; at++) {
      const page = pages[at]!;
      const latest = this.#encoding.get(page) === number;
      if (latest) this.#encoding.delete(page);
      if (referenceSlots[at]! >= 0) store.releaseSlot(referenceSlots[at]!);
      if (slots[at]! < 0) continue;
      // A newer copy is being encoded without this one: what the destination has then is that copy.
      if (latest) store.keepReference(page, slots[at]!);
      else store.releaseSlot(slots[at]!);
    }
    this.#pendingPages -= pages.length;
  }

  #observe(batch: TimedBatch, count: number): void {
    const { stats, encodeMs } = batch;
    this.#chooser.observe({
      packedBytes: stats.packedPages * PAGE_SIZE_BYTES,
      storedBytes: stats.packedStoredBytes,
      encodeMs,
      pageBytes: count * PAGE_SIZE_BYTES,
    });
    const whole = stats.rawPages + stats.packedPages;
    if (whole > 0) {
      const bytes = (stats.rawPages * PAGE_SIZE_BYTES + stats.packedStoredBytes) / whole + 4;
      this.#wholeBytes += ESTIMATE_WEIGHT * (bytes - this.#wholeBytes);
    }
    if (stats.deltaPages > 0) {
      const bytes = stats.deltaBytes / stats.deltaPages + 3;
      this.#deltaBytes = smoothed(this.#deltaBytes, bytes, ESTIMATE_WEIGHT);
    }
  }

  #send(lane: number, message: Message, payloadCheck?: number): void {
    if (!this.#closed) this.#options.link.send(lane, message, payloadCheck);
  }

  starved(): void {
    // The link measures its lanes only while they have something to deliver.
  }

  async complete(tail: StateTail): Promise<void> {
    await Promise.all(this.#lanes.map((lane) => lane.tail));
    const { link, prepareTimeoutMs } = this.#options;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    this.#prepared = { resolve, reject };
    link.barrier().catch(() => undefined);
    const bytes = encodeTail(tail);
    for (let at = 0; at < bytes.length; at += OPAQUE_BYTES_MAX) {
      const last = at + OPAQUE_BYTES_MAX >= bytes.length;
      link.send(0, { kind: 'tail', last, bytes: bytes.slice(at, at + OPAQUE_BYTES_MAX) });
    }
    link.send(0, {
      kind: 'prepare',
      nonce: 1,
      pageCount: this.#pageTotal,
      checksum: hexChecksum(this.#checksum),
    });
    let timer: NodeJS.Timeout | undefined;
    let answered = false;
    const startTimer = () => {
      if (!answered)
        timer = setTimeout(() => reject(gatewayErrors.prepareTimeout(prepareTimeoutMs)), prepareTimeoutMs);
    };
    // A slow or broken link takes as long as it takes; only what has arrived can be late.
    link.flush().then(startTimer, () => undefined);
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
