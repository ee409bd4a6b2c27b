export { BatchApplier } from './applier.ts';
export { PackChooser } from './chooser.ts';

export { BatchEncoder, type BatchRequest, type BatchStats, type EncodedBatch } from './encoder.ts';
export { BATCH_BYTES_MAX, BATCH_FORMAT, NO_SLOT } from './format.ts';
export { PageDeltas } from './page-deltas.ts';
export { ParallelCodec } from './parallel.ts';
export { SlotMemory } from './slot-memory.ts';
export { codecTaskModule } from './task.ts';
