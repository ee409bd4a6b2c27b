export { DeliveryMeter } from './delivery.ts';
export { DestinationGateway, type DestinationGatewayOptions } from './destination.ts';
export { InThreadEncoding } from './encoding.ts';
export { gatewayErrors } from './errors.ts';
export { connectOptions, type FeedOptions } from './feed.ts';
export { type BatchEncoding, PairedOutput, type PairedOutputOptions } from './paired.ts';
export { SingleOutput } from './single.ts';
export { SourceGateway, type SourceGatewayEvents, type SourceGatewayOptions } from './source.ts';
export type { OutputEvents, OutputFacts, PageOutput } from './types.ts';
