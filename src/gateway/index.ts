export { DeliveryMeter } from './delivery.ts';
export { gatewayErrors } from './errors.ts';
export { connectOptions, SingleOutput, type SingleOutputOptions } from './single.ts';
export { SourceGateway, type SourceGatewayEvents, type SourceGatewayOptions } from './source.ts';
export type { OutputEvents, OutputFacts, PageOutput } from './types.ts';
