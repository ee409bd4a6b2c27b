/** Events of domains: registered with the daemon, decoded, handed to a listener. */

import type { CallOptions, LibvirtClient } from './client.ts';
import type { EventProcedure } from './procedure.ts';
import type { DomainRef } from './procedures-domain.ts';
import { eventDeregister, eventRegister } from './procedures-events.ts';
import { XdrReader } from './xdr.ts';

export interface Subscription {
  /** No event is handed on after this was called; the daemon is told, if it still listens. */
  end(): Promise<void>;
}

/**
 * Events of `domain`, or (null) of every domain. A message that cannot be read ends the connection. Errors:
 * those of LibvirtClient.call.
 */
export async function subscribe<Message extends { readonly callbackId: number }>(
  client: LibvirtClient,
  event: EventProcedure<Message>,
  domain: DomainRef | null,
  listener: (message: Message) => void,
  options?: CallOptions,
): Promise<Subscription> {
  let callbackId: number | null = null;
  // An event may overtake the answer that says which number is ours.
  const early: Message[] = [];
  const forget = client.onMessage(event.number, (payload) => {
    const reader = new XdrReader(payload);
    const message = event.message.read(reader);
    reader.end();
    if (callbackId === null) early.push(message);
    else if (message.callbackId === callbackId) listener(message);
  });
  try {
    const args = { eventId: event.eventId, domain };
    ({ callbackId } = await client.call(eventRegister, args, options));
  } catch (error) {
    forget();
    throw error;
  }
  const registered = callbackId;
  for (const message of early) if (message.callbackId === registered) listener(message);
  return {
    end: async () => {
      forget();
      await client.call(eventDeregister, { callbackId: registered }).catch(() => undefined);
    },
  };
}
