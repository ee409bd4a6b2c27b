export { type Endpoint, endpointSchema } from './endpoint.ts';
export { libvirtEnds } from './libvirt-ends.ts';
export { look } from './look.ts';
export { QmpMachine } from './qmp-machine.ts';
export type { Machine } from './types.ts';
