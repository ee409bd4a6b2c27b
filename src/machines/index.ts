export { Daemon } from './daemon.ts';
export {
  type Endpoint,
  endpointSchema,
  endpointText,
  identityOf,
  isDomain,
  type QmpEndpoint,
} from './endpoint.ts';
export { libvirtEnds } from './libvirt-ends.ts';
export { look } from './look.ts';
export { openEnds } from './open-ends.ts';
export { QmpMachine } from './qmp-machine.ts';
export type { Machine } from './types.ts';
