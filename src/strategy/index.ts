export { DOWNTIME_WEIGHT } from './catalogue/adaptive.ts';
export {
  backlogBytes,
  bytesPerPage,
  dirtiedMost,
  dirtiedWithin,
  pagesAbove,
  pagesAtSource,
  queuedBytes,
} from './measures.ts';
export { type AnyStrategy, readParameters, strategies, strategyByName } from './registry.ts';
