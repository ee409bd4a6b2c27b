export { DestinationGateway } from './destination/destination.ts';

export type { ContentCost } from './output/content-sample.ts';

export { InThreadEncoding } from './output/encoding.ts';
export { LOAD_TIMEOUT_MS } from './output/feed.ts';
export { NullOutput } from './output/null.ts';
export { PairedOutput } from './output/paired.ts';
export { SingleOutput } from './output/single.ts';
export type { LinkFacts, OutputEvents, OutputFacts, PageOutput } from './output/types.ts';
export { WorkerEncoding } from './output/worker-encoding.ts';
export { ReadyMemory } from './source/ready-memory.ts';
export { SourceGateway, type SourceGatewayOptions } from './source/source.ts';
