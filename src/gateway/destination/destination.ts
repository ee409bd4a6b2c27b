/**
 * The destination gateway: applies what comes over the link and feeds the destination QEMU with it at
 * once. It decides nothing; it proves at the end that pages and machine state have arrived and are loaded.
 * Not responsible for QMP.
 */

import { defined, GodwitError, MIB } from '../../base/index.ts';
import type { Link, Message } from '../../link/index.ts';
import { laneOfPage } from '../../link/index.ts';
import { BatchApplier } from '../../pages/index.ts';
import { makeRamLayout } from '../../vm/index.ts';
import { type FeedOptions, QemuFeed } from '../output/feed.ts';
import { LoadedPages } from '../output/loaded-pages.ts';
import {
  decodeTail,
  encodeApplied,
  hexChecksum,
  parseStreamFacts,
  type StreamFacts,
} from './pair-messages.ts';

/** Device sections of a machine are well below this; the stream decoder at the source has the same cap. */
const TAIL_BYTES_MAX = 64 * MIB;

const TELL_MS = 4;

export class DestinationGateway {
  readonly #feed: QemuFeed;
  readonly #failed: (error: Error) => void;
  #link: Link | null = null;
  #facts: StreamFacts | null = null;
  #appliers: BatchApplier[] = [];
  #tail: Buffer[] = [];
  #tailBytes = 0;
  readonly #loaded = new LoadedPages();
  #loadedTotal = 0;
  #checksum = 0;
  #room: PromiseWithResolvers<void> | null = null;
  #complete = false;
  #telling: NodeJS.Timeout | null = null;

  /** `onFailed`: QEMU or the feed failed; the link should be aborted with the error. */
  constructor(options: FeedOptions, onFailed: (error: Error) => void) {
    this.#failed = onFailed;
    this.#feed = new QemuFeed(options, {
      onRoom: () => this.#onRoom(),
      onLoaded: () => this.#onLoaded(),
      onReturnPath: (_message, raw) => this.#link?.send(0, { kind: 'return-path', bytes: raw }),
      onError: (error) => {
        this.#room?.reject(error);
        onFailed(error);
      },
    });
  }

  connect(signal: AbortSignal): Promise<void> {
    return this.#feed.connect(signal);
  }

  attach(link: Link): void {
    this.#link = link;
  }

  get pageTotal(): number {
    return this.#loaded.handedOver;
  }

  /** Everything is loaded; what follows is goodbye. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** The link's messages, one at a time per lane; a promise holds the lane back until QEMU has read on. */
  onMessage(message: Message, lane: number): void | Promise<void> {
    switch (message.kind) {
      case 'control':
        this.#facts = parseStreamFacts(message.text);
        return;
      case 'prologue':
        return this.#feed.forward(message.bytes);
      case 'layout':
        return this.#open(message.blocks);
      case 'pages':
        return this.#apply(message.batch, defined(message.checksum, 'what arrives has a checksum'), lane);
      case 'tail':
        return this.#collect(message.bytes);
      case 'prepare':
        return this.#prepare(message);
      case 'abort':
        return this.#failed(new GodwitError(message.code, message.text));
      default:
        return;
    }
  }

  #open(blocks: readonly { readonly id: string; readonly sizeBytes: number }[]): void {
    if (this.#facts === null || this.#link === null || this.#appliers.length > 0) throw outOfOrder('layout');
    const layout = makeRamLayout(blocks);
    const { laneCount } = this.#link;
    this.#appliers = Array.from({ length: laneCount }, (_, lane) => {
      return new BatchApplier({
        pageCount: layout.pageCount,
        sink: this.#feed,
        owns: (pageIndex) => laneOfPage(pageIndex, laneCount) === lane,
      });
    });
    this.#loaded.handOver(0);
    this.#feed.open({ layout, sectionId: this.#facts.sectionId, footers: this.#facts.footers });
  }

  #applier(lane: number): BatchApplier {
    const applier = this.#appliers[lane];
    if (applier === undefined) throw outOfOrder('pages');
    return applier;
  }

  /** `checksum`: of the batch as it arrived, which the link has checked. */
  #apply(batch: Uint8Array, checksum: number, lane: number): void | Promise<void> {
    const applier = this.#applier(lane);
    this.#feed.beginBatch();
    this.#loaded.handOver(applier.apply(batch));
    this.#feed.endBatch();
    this.#checksum = (this.#checksum + checksum) >>> 0;
    if (!this.#feed.isFull) return;
    this.#room ??= Promise.withResolvers<void>();
    return this.#room.promise;
  }

  /** The source keeps no more under way than QEMU loads in a moment; it need not hear of every batch. */
  #onLoaded(): void {
    this.#loadedTotal = this.#loaded.noteLoaded();
    this.#telling ??= setTimeout(() => {
      this.#telling = null;
      try {
        this.#link?.send(0, { kind: 'control', text: encodeApplied(this.#loadedTotal) });
      } catch {
        // The link has ended, so nobody needs to be told.
      }
    }, TELL_MS);
  }

  #onRoom(): void {
    if (this.#feed.isFull) return;
    this.#room?.resolve();
    this.#room = null;
  }

  #collect(bytes: Uint8Array): void {
    this.#tailBytes += bytes.length;
    if (this.#tailBytes > TAIL_BYTES_MAX) {
      throw new GodwitError('PAIR_MESSAGE', `more than ${TAIL_BYTES_MAX} bytes of machine state`);
    }
    this.#tail.push(Buffer.from(bytes));
  }

  async #prepare(asked: { nonce: number; pageCount: number; checksum: string }): Promise<void> {
    const mine = { nonce: asked.nonce, pageCount: this.pageTotal, checksum: hexChecksum(this.#checksum) };
    if (mine.pageCount === asked.pageCount && mine.checksum === asked.checksum) {
      await this.#feed.complete(decodeTail(Buffer.concat(this.#tail)));
      this.#complete = true;
    }
    // Unequal figures go back too: the source names both and gives up.
    this.#link!.send(0, { ...mine, kind: 'prepared' });
  }

  close(): void {
    if (this.#telling) clearTimeout(this.#telling);
    this.#feed.close();
  }
}

function outOfOrder(what: string): GodwitError {
  return new GodwitError('PAIR_MESSAGE', `${what} came before the stream was described, or twice`);
}
