/** What libvirt says of a domain at one end. Not responsible for what follows from it. */

import type { CallOptions, LibvirtCaller } from './client.ts';
import { type DomainState, domainState } from './domain-state.ts';
import { faultCode } from './errors.ts';
import { type DomainRef, domainGetState, domainLookupByUuid } from './procedures-domain.ts';
import { FAULT } from './remote-error.ts';

/**
 * null: libvirt knows no such domain there. `ref.id` is -1 while it is not active. Errors: those of
 * LibvirtClient.call.
 */
export async function lookAtDomain(
  client: LibvirtCaller,
  uuid: string,
  options?: CallOptions,
): Promise<{ readonly ref: DomainRef; readonly state: DomainState } | null> {
  try {
    const { domain: ref } = await client.call(domainLookupByUuid, { uuid }, options);
    const state = await client.call(domainGetState, { domain: ref, flags: 0 }, options);
    return { ref, state: domainState(state) };
  } catch (error) {
    if (faultCode(error) === FAULT.NO_DOMAIN) return null;
    throw error;
  }
}
