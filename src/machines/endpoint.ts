/**
 * One end of a migration as a journal names it, so that whoever finds it can reach and recognise who controls
 * its VM: a QEMU by its QMP socket, or a domain by its libvirt.
 */

import { z } from 'zod';

/** How to reach its host; null: this one. */
const reachSchema = z
  .object({
    command: z.array(z.string()),
    host: z.string().nullable(),
    linkTimeoutMs: z.number().default(60_000),
    /** A far side that was started by hand; its TLS files by their paths. */
    listener: z
      .object({
        host: z.string(),
        port: z.number(),
        session: z.string(),
        tls: z
          .object({
            certPath: z.string(),
            keyPath: z.string(),
            caPath: z.string(),
            serverName: z.string().nullish(),
          })
          .nullable(),
      })
      .nullish(),
  })
  .nullable()
  .default(null);

const qmpEndpointSchema = z.object({
  qmpPath: z.string(),
  /**
   * Its process, as process-identity.ts names it: another QEMU may listen at that path later. null:
   * not visible from here.
   */
  identity: z.string().nullable().default(null),
  /** The migration whose claim its QEMU carries; null: it was never claimed. */
  claim: z.string().nullable().default(null),
  reach: reachSchema,
});
export type QmpEndpoint = z.infer<typeof qmpEndpointSchema>;

const domainEndpointSchema = z.object({
  /** libvirt's daemon, as its own host would write it: `qemu:///system`. */
  libvirt: z.string(),
  domain: z.object({
    name: z.string(),
    uuid: z.string(),
    /** It is defined at the destination and undefined at the source. */
    persistent: z.boolean(),
  }),
  reach: reachSchema,
});
export type DomainEndpoint = z.infer<typeof domainEndpointSchema>;

export const endpointSchema = z.union([qmpEndpointSchema, domainEndpointSchema]);
export type Endpoint = z.infer<typeof endpointSchema>;

export function isDomain(endpoint: Endpoint): endpoint is DomainEndpoint {
  return 'domain' in endpoint;
}

/** The QEMU's process; null where it is not known, or is libvirt's business. */
export function identityOf(endpoint: Endpoint): string | null {
  return isDomain(endpoint) ? null : endpoint.identity;
}

/** For the operator. */
export function endpointText(endpoint: Endpoint): string {
  return isDomain(endpoint) ? `${endpoint.domain.name} of ${endpoint.libvirt}` : endpoint.qmpPath;
}
