export { PageChecksum } from './checksum.ts';
export * from './codec/index.ts';
export { tickOfMs } from './heat.ts';
export { type PageState, STATE_HELD, STATE_NONE, STATE_QUEUED } from './layout.ts';
export { PageIndex } from './page-index.ts';
export { PageStore, type PageStoreOptions } from './page-store.ts';
export { ZERO_PAGE_BYTES } from './prices.ts';
export { chunkOfSlot, type OnChunk, offsetOfSlot, SLOTS_PER_CHUNK } from './slot-pool.ts';
export type { IndexSnapshot, IterationEnd } from './types.ts';
