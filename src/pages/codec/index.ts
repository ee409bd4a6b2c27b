export { type ApplierOptions, BatchApplier, type PageSink } from './applier.ts';
export { PackChooser, type PackSample } from './chooser.ts';
export { type UnpackedBatch, unpackBatch } from './decoder.ts';
export { BatchEncoder, type BatchRequest, type BatchStats, type EncodedBatch } from './encoder.ts';
export { BATCH_BYTES_MAX, BATCH_FORMAT, BATCH_PAGES_MAX, type CodecErrorCode, NO_SLOT } from './format.ts';
export { type ParallelBatch, ParallelCodec, type Runner } from './parallel.ts';
export { SlotMemory } from './slot-memory.ts';
export { type CodecInit, codecTaskModule } from './task.ts';
