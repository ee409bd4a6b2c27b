/**
 * Takes QEMU's stream apart: what precedes the pages is forwarded, each page's newest copy goes into the
 * store, and all that follows RAM is kept for the end. Not responsible for when QEMU is read (read-gate.ts),
 * nor for what is sent (sender.ts).
 */

import { assert, freeMemory } from '../../base/index.ts';
import { heatTickOf, PageStore } from '../../pages/index.ts';
import { COMMAND, type RamSetup, StreamDecoder, type StreamSink, type Tail } from '../../stream/index.ts';
import { PassRecorder } from '../../trace/index.ts';
import type { PageOutput, StateTail } from '../output/types.ts';
import { DeltaSample } from './delta-sample.ts';
import { KeptBitmaps } from './kept-bitmaps.ts';
import { PostCopyStage } from './post-copy-stage.ts';

export interface IntakeOptions {
  readonly capabilities: ReadonlySet<string>;
  readonly memoryBytesMax: number;
  /** See SourceGatewayOptions. */
  readonly deltas: boolean;
  readonly record: ((bytes: Uint8Array) => void) | null;
  readonly readyChunk?: () => SharedArrayBuffer | null;
  /** Since the gateway listens. */
  readonly nowMs: () => number;
}

export interface IntakeEvents {
  /** RAM's layout is known: `store` takes the pages that follow. */
  onLayout(setup: RamSetup, store: PageStore): void;
  /** RAM and the device sections have arrived. */
  onTail(): void;
  /** QEMU went on in post-copy, as it was invited to. */
  onPostCopy(): void;
}

export class Intake {
  readonly postCopy = new PostCopyStage();
  readonly #options: IntakeOptions;
  readonly #output: PageOutput;
  readonly #events: IntakeEvents;
  readonly #decoder: StreamDecoder;
  readonly #lateCommands: Uint8Array[] = [];
  readonly #bitmaps = new KeptBitmaps();
  #store: PageStore | null = null;
  #tail: Tail | null = null;
  /** Read once a chunk, not once a page. */
  #heatTick = 0;
  #deltas: DeltaSample | null = null;
  #recorder: PassRecorder | null = null;

  constructor(output: PageOutput, options: IntakeOptions, events: IntakeEvents) {
    this.#output = output;
    this.#options = options;
    this.#events = events;
    this.#decoder = new StreamDecoder({ capabilities: options.capabilities }, this.#sink());
  }

  /** null before RAM's layout is known. */
  get store(): PageStore | null {
    return this.#store;
  }

  /** QEMU closes its connection after this, and that is no failure. */
  get hasTail(): boolean {
    return this.#tail !== null;
  }

  /** QEMU hands over no more pages. */
  get isLast(): boolean {
    return this.#tail !== null || this.postCopy.isLast;
  }

  /** All that follows RAM; it must have arrived. */
  get tail(): StateTail {
    assert(this.#tail, 'the device sections have arrived');
    return {
      ...this.#tail,
      devices: this.#bitmaps.before(this.#tail.devices),
      lateCommands: this.#lateCommands,
    };
  }

  /** A chunk of QEMU's stream; its memory is freed. Errors: STREAM_*, GATEWAY_MEMORY. */
  write(chunk: Uint8Array): void {
    this.#heatTick = heatTickOf(this.#options.nowMs());
    this.#decoder.write(chunk);
    freeMemory(chunk);
  }

  /** QEMU began a pass that is not its first one: the first began with the stream. */
  beginPass(): void {
    this.#recorder?.beginPass(this.#options.nowMs());
  }

  /** See DeltaSample.payingBytes. */
  payingDeltaBytes(wholePageBytes: number, recordBytes: number): number | null {
    return this.#deltas?.payingBytes(wholePageBytes, recordBytes) ?? null;
  }

  /** Ends the trace where one is recorded. */
  close(): void {
    this.#recorder?.end();
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
      onDirtyBitmaps: (raw) => this.#bitmaps.keep(raw),
      onPage: (pageIndex, buffer, offset) => {
        this.#recorder?.page(pageIndex);
        this.#deltas?.look(this.#store!, pageIndex, buffer, offset);
        this.#store!.put(pageIndex, this.#heatTick, buffer, offset);
      },
      onZeroPage: (pageIndex) => {
        this.#recorder?.zeroPage(pageIndex);
        this.#store!.putZero(pageIndex, this.#heatTick);
      },
      onRamSectionEnd: () => undefined,
      onTail: (tail) => {
        this.#tail = tail;
        this.#events.onTail();
      },
      onPassThrough: (passThrough) => {
        this.postCopy.begin(passThrough);
        this.#events.onPostCopy();
      },
      onPassThroughBytes: (bytes) => this.postCopy.keep(bytes),
    };
  }

  /** Copied, as pages are: the chunk they came in is freed. */
  #forward(raw: Uint8Array): void {
    this.#output.forward(Uint8Array.from(raw));
  }

  #onRamSetup(setup: RamSetup, raw: Uint8Array): void {
    const { memoryBytesMax, readyChunk, deltas, record, nowMs } = this.#options;
    const { pageCount } = setup.layout;
    const store = new PageStore({
      pageCount,
      memoryBytesMax,
      references: this.#output.keepsReferences,
      ...(readyChunk ? { readyChunk } : {}),
      onChunk: (chunk, memory) => this.#output.onChunk?.(chunk, memory),
    });
    this.#store = store;
    if (deltas && this.#output.keepsReferences) this.#deltas = new DeltaSample();
    if (record) this.#recorder = PassRecorder.start(record, pageCount, nowMs());
    this.#forward(raw);
    this.#output.open(setup);
    this.#events.onLayout(setup, store);
  }
}
