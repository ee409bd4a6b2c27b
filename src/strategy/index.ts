export { DOWNTIME_WEIGHT } from './catalogue/adaptive.ts';
export {
  backlogBytes,
  bytesPerPage,
  dirtiedMost,
  dirtiedWithin,
  dirtyPagesPerSecond,
  measured,
  pagesAtSource,
  queuedBytes,
  remainingBytes,
  remainingPages,
} from './measures.ts';
export { type AnyStrategy, readParameters, strategies, strategyByName } from './registry.ts';
