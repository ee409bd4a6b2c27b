export { PageChecksum } from './checksum.ts';
export * from './codec/index.ts';
export { heatTickOf } from './heat.ts';

export { PageIndex } from './page-index.ts';
export { PageStore } from './page-store.ts';
export { chunkOfSlot, offsetOfSlot, SLOTS_PER_CHUNK } from './slot-pool.ts';
