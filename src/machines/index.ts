export { type Endpoint, endpointSchema } from './endpoint.ts';
export { destinationSeen, type LookOptions, look, sourceSeen } from './look.ts';
export { QmpMachine } from './qmp-machine.ts';
export type { Machine, MachineStatus } from './types.ts';
