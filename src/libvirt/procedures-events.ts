/** Events of domains: how they are asked for, and what each carries. */

import { int, nothing, optional, struct, type TypeOf } from './codec.ts';
import { type EventProcedure, procedure } from './procedure.ts';
import { domain, JOB_PARAMETERS_MAX } from './procedures-domain.ts';
import { typedParameters } from './typed-parameters.ts';

/** Of one domain, or (null) of all. */
export const eventRegister = procedure(
  'ConnectDomainEventRegisterAny',
  316,
  struct({ eventId: int, domain: optional(domain) }),
  struct({ callbackId: int }),
);

export const eventDeregister = procedure(
  'ConnectDomainEventDeregisterAny',
  317,
  struct({ callbackId: int }),
  nothing,
);

const lifecycleMessage = struct({ callbackId: int, domain, event: int, detail: int });
export type LifecycleMessage = TypeOf<typeof lifecycleMessage>;

/** VIR_DOMAIN_EVENT_…, by number. */
export const LIFECYCLE_EVENTS = [
  'defined',
  'undefined',
  'started',
  'suspended',
  'resumed',
  'stopped',
  'shutdown',
  'pm-suspended',
  'crashed',
] as const;

export const lifecycleEvent: EventProcedure<LifecycleMessage> = {
  name: 'lifecycle',
  number: 318,
  eventId: 0,
  message: lifecycleMessage,
};

const iterationMessage = struct({ callbackId: int, domain, iteration: int });

/**
 * A pass of the migration begins: only with `events` among QEMU's migration capabilities, which libvirt sets.
 */
export const iterationEvent: EventProcedure<TypeOf<typeof iterationMessage>> = {
  name: 'migration-iteration',
  number: 359,
  eventId: 20,
  message: iterationMessage,
};

const jobCompletedMessage = struct({
  callbackId: int,
  domain,
  parameters: typedParameters(JOB_PARAMETERS_MAX),
});

export const jobCompletedEvent: EventProcedure<TypeOf<typeof jobCompletedMessage>> = {
  name: 'job-completed',
  number: 363,
  eventId: 21,
  message: jobCompletedMessage,
};
