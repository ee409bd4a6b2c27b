import assert from 'node:assert/strict';
import test from 'node:test';
import fc from 'fast-check';
import { Bitmap, GodwitError, Prng } from '../base/index.ts';
import { type Hold, type Order, PAGE_SIZE_BYTES } from '../vm/index.ts';
import { STATE_NONE } from './layout.ts';
import { PageStore } from './page-store.ts';
import { chunkOfSlot, offsetOfSlot, SLOTS_PER_CHUNK } from './slot-pool.ts';

const PAGES = 1200;
const SLOTS = 256;

const HOLDS: readonly Hold[] = [
  { kind: 'none' },
  { kind: 'window', theta: 2, of: 3, leaveAfterClean: 2 },
  { kind: 'rate', perSecondMax: 0.5 },
  { kind: 'regions', regions: regionBitmap([0, 2]) },
  { kind: 'dirty-again' },
];
const ORDERS: readonly Order[] = [{ kind: 'address' }, { kind: 'coldest' }, { kind: 'counter' }];

function regionBitmap(regions: readonly number[]): Bitmap {
  const bitmap = new Bitmap(3);
  for (const region of regions) bitmap.add(region);
  return bitmap;
}

/** A page's content as a number: 0 is the zero page. */
function pageOf(page: number, version: number): Buffer {
  const bytes = Buffer.alloc(PAGE_SIZE_BYTES);
  if (version === 0) return bytes;
  bytes.writeUInt32LE(page, 0);
  bytes.writeUInt32LE(version, 4);
  bytes.writeUInt32LE(version ^ page, PAGE_SIZE_BYTES - 4);
  return bytes;
}

/** A guest that writes, a gateway that keeps back-pressure, a receiver that applies what was taken. */
class Move {
  readonly store: PageStore;
  readonly guest = new Map<number, number>();
  readonly receiver = new Map<number, Buffer>();
  readonly references: boolean;
  readonly #out = new Uint32Array(64);
  #version = 0;
  tick = 0;

  constructor(store: PageStore, references: boolean) {
    this.store = store;
    this.references = references;
  }

  write(page: number, zero: boolean): void {
    while (!this.store.hasRoom(1)) this.makeRoom();
    const version = zero ? 0 : ++this.#version;
    this.guest.set(page, version);
    if (zero) this.store.putZero(page, this.tick);
    else this.store.put(page, this.tick, Buffer.concat([Buffer.alloc(5), pageOf(page, version)]), 5);
    this.check();
  }

  makeRoom(): void {
    if (this.store.index.queuedPages === 0)
      assert.ok(this.store.index.spill(16) > 0, 'something can be spilled');
    this.send(64);
  }

  send(pages: number): number {
    return this.#sendTaken(this.store.index.take(Math.min(pages, 64), this.#out));
  }

  sendHeld(pages: number): number {
    return this.#sendTaken(this.store.index.takeHeld(Math.min(pages, 64), this.#out));
  }

  #sendTaken(count: number): number {
    for (const page of this.#out.subarray(0, count)) {
      const bytes = Buffer.alloc(PAGE_SIZE_BYTES + 7, 0xee);
      this.store.copyInto(page, bytes, 7);
      const sent = bytes.subarray(7);
      const before = this.receiver.get(page);
      this.receiver.set(page, sent);
      if (!this.references) this.store.release(page);
      else this.#sendWithReference(page, before);
    }
    this.check();
    return count;
  }

  /** `before`: what the receiver had; a reference is that, or there is none. */
  #sendWithReference(page: number, before: Buffer | undefined): void {
    const reference = this.store.takeReferenceSlot(page);
    if (reference >= 0) {
      const at = offsetOfSlot(reference);
      const bytes = this.store.chunk(chunkOfSlot(reference)).subarray(at, at + PAGE_SIZE_BYTES);
      assert.ok(before && bytes.equals(before), `the reference of page ${page} is what was sent`);
      this.store.releaseSlot(reference);
    }
    const slot = this.store.takeSlot(page);
    if (slot >= 0) this.store.keepReference(page, slot);
  }

  check(): void {
    const { store } = this;
    assert.ok(store.memoryBytes <= store.memoryBytesMax, 'the cap is kept');
    let slots = 0;
    for (let page = 0; page < PAGES; page++) {
      const waits = store.index.stateOf(page) !== STATE_NONE;
      const hasSlot = store.slotOf(page) >= 0;
      if (hasSlot) slots++;
      assert.equal(
        hasSlot,
        waits && !store.index.isZero(page),
        `page ${page} has a slot if its content waits`,
      );
    }
    assert.equal(store.roomPages, store.slotCount - slots, 'the room is what nobody waits in');
  }

  finish(): void {
    this.store.index.setStopAndCopy(true);
    while (this.send(64) + this.sendHeld(64) > 0);
    for (const [page, version] of this.guest) {
      assert.ok(
        this.receiver.get(page)?.equals(pageOf(page, version)),
        `page ${page} arrived as last written`,
      );
    }
    assert.equal(this.receiver.size, this.guest.size);
  }
}

function makeStore(references: boolean): PageStore {
  const bookkeeping = PageStore.memoryBytesMin(PAGES, references) - SLOTS * PAGE_SIZE_BYTES;
  const memoryBytesMax = bookkeeping + SLOTS * PAGE_SIZE_BYTES + 100;
  return new PageStore({ pageCount: PAGES, memoryBytesMax, references });
}

function randomMove(seed: number, references: boolean, steps: number): Move {
  const prng = new Prng(seed);
  const move = new Move(makeStore(references), references);
  for (let step = 0; step < steps; step++) {
    const dice = prng.below(20);
    const { index } = move.store;
    if (dice < 12) {
      const first = prng.below(PAGES);
      const count = 1 + prng.below(dice < 2 ? 60 : 8);
      for (let at = 0; at < count; at++) move.write((first + at) % PAGES, prng.unit() < 0.2);
    } else if (dice < 15) move.send(1 + prng.below(40));
    else if (dice < 17) {
      move.tick += 30 + prng.below(100);
      index.endIteration({ nowMs: move.tick * 16, passes: 1, bandwidthBytesPerSecond: null });
    } else if (dice === 17) index.setHold(HOLDS[prng.below(HOLDS.length)]!);
    else if (dice === 18) index.setOrder(ORDERS[prng.below(ORDERS.length)]!);
    else index.spill(prng.below(20));
  }
  return move;
}

for (const references of [false, true]) {
  test(`newest copy wins, nothing is lost, the cap is kept${references ? ', with references' : ''}`, () => {
    fc.assert(
      fc.property(fc.integer(), (seed) => randomMove(seed, references, 60).finish()),
      { numRuns: 12, seed: 7 },
    );
  });
}

test('the property notices a store that keeps the older copy', () => {
  class KeepsOlder extends PageStore {
    override put(pageIndex: number, tick: number, source: Uint8Array, offset: number): void {
      if (this.slotOf(pageIndex) >= 0) this.index.arrive(pageIndex, tick);
      else super.put(pageIndex, tick, source, offset);
    }
  }
  const move = new Move(
    new KeepsOlder({ pageCount: PAGES, memoryBytesMax: makeStore(false).memoryBytesMax }),
    false,
  );
  move.write(3, false);
  move.write(3, false);
  assert.throws(() => move.finish(), /page 3 arrived as last written/);
});

test('a cap below the bookkeeping is refused and says the minimum, which is enough', () => {
  const memoryBytesMin = PageStore.memoryBytesMin(1 << 20, true);
  const pageCount = 1 << 20;
  assert.throws(
    () => new PageStore({ pageCount, memoryBytesMax: memoryBytesMin - 1, references: true }),
    (error) =>
      error instanceof GodwitError &&
      error.code === 'GATEWAY_MEMORY' &&
      error.fields['memoryBytesMin'] === memoryBytesMin,
  );
  const store = new PageStore({ pageCount, memoryBytesMax: memoryBytesMin, references: true });
  assert.equal(store.slotCount, 256);
});

test('a put without room is refused and changes nothing', () => {
  const store = makeStore(false);
  const bytes = Buffer.alloc(PAGE_SIZE_BYTES, 1);
  for (let page = 0; page < SLOTS; page++) store.put(page, 0, bytes, 0);
  assert.equal(store.roomPages, 0);
  assert.throws(() => store.put(SLOTS, 0, bytes, 0), { code: 'GATEWAY_MEMORY' });
  assert.equal(store.index.wasSeen(SLOTS), false);
  store.put(0, 0, bytes, 0);
  store.putZero(SLOTS, 0);
  assert.equal(store.index.queuedPages, SLOTS + 1);
});

test('a slot handed to a worker keeps its content while a newer copy arrives', () => {
  const store = makeStore(true);
  const out = new Uint32Array(4);
  store.put(8, 0, pageOf(8, 1), 0);
  store.index.take(4, out);
  const slot = store.takeSlot(8);
  store.put(8, 0, pageOf(8, 2), 0);
  const at = offsetOfSlot(slot);
  const bytes = store.chunk(chunkOfSlot(slot)).subarray(at, at + PAGE_SIZE_BYTES);
  assert.ok(bytes.equals(pageOf(8, 1)));
  assert.notEqual(store.slotOf(8), slot);
  store.keepReference(8, slot);
  assert.equal(store.referenceSlot(8), slot);
  const room = store.roomPages;
  store.index.take(4, out);
  store.keepReference(8, store.takeSlot(8));
  assert.equal(store.roomPages, room + 1, 'the older reference is free again');
  assert.throws(() => store.releaseSlot(store.slotCount - 1), { code: 'ASSERTION' });
});

test('references not dirtied lately are evicted before the others', () => {
  const store = makeStore(true);
  const out = new Uint32Array(PAGES);
  const send = () => {
    for (const page of out.subarray(0, store.index.take(PAGES, out)))
      store.keepReference(page, store.takeSlot(page));
  };
  const put = (page: number) => store.put(page, 0, pageOf(page, 1), 0);
  for (let page = 0; page < 200; page++) put(page);
  send();
  store.index.endIteration({ nowMs: 0, passes: 1, bandwidthBytesPerSecond: null });
  for (let page = 0; page < 40; page++) {
    store.dropReference(page);
    put(page);
  }
  send();
  assert.equal(store.referencePages, 200);
  for (let page = 300; page < 456; page++) put(page);
  assert.equal(store.referencePages, 100);
  for (let page = 0; page < 40; page++) assert.ok(store.referenceSlot(page) >= 0, 'the 40 hot ones stay');
});

test('chunks are taken when needed, and used again before another one is', () => {
  const pageCount = SLOTS_PER_CHUNK * 2;
  const told: [number, number][] = [];
  const store = new PageStore({
    pageCount,
    memoryBytesMax: 2 ** 30,
    onChunk: (chunk, memory) => told.push([chunk, memory.byteLength]),
  });
  const before = store.memoryBytes;
  const bytes = Buffer.alloc(PAGE_SIZE_BYTES, 1);
  for (let page = 0; page <= SLOTS_PER_CHUNK; page++) store.put(page, 0, bytes, 0);
  assert.equal(store.memoryBytes - before, 2 * SLOTS_PER_CHUNK * PAGE_SIZE_BYTES);
  store.release(SLOTS_PER_CHUNK);
  store.put(SLOTS_PER_CHUNK + 1, 0, bytes, 0);
  assert.equal(store.memoryBytes - before, 2 * SLOTS_PER_CHUNK * PAGE_SIZE_BYTES);
  const chunkBytes = SLOTS_PER_CHUNK * PAGE_SIZE_BYTES;
  assert.deepEqual(told, [
    [0, chunkBytes],
    [1, chunkBytes],
  ]);
  assert.ok(store.bookkeepingBytes / pageCount <= 16);
});

test('cold references give way before memory is taken, those of pages that come again stay', () => {
  const pageCount = SLOTS_PER_CHUNK * 4;
  const store = new PageStore({ pageCount, memoryBytesMax: 2 ** 30, references: true });
  const before = store.memoryBytes;
  const chunks = () => (store.memoryBytes - before) / (SLOTS_PER_CHUNK * PAGE_SIZE_BYTES);
  const bytes = Buffer.alloc(PAGE_SIZE_BYTES, 1);
  const out = new Uint32Array(1);
  const pass = (pages: number) => {
    for (let page = 0; page < pages; page++) {
      store.put(page, 0, bytes, 0);
      store.index.take(1, out);
      store.keepReference(page, store.takeSlot(page));
    }
    store.index.endIteration({ nowMs: 0, passes: 1, bandwidthBytesPerSecond: null });
  };
  pass(3 * SLOTS_PER_CHUNK);
  assert.equal(chunks(), 1);
  const hot = 2 * SLOTS_PER_CHUNK;
  pass(hot);
  pass(hot);
  assert.ok(store.referencePages >= hot);
  assert.ok(chunks() <= 3, `${chunks()} chunks`);
});
