/**
 * One end of a migration as a journal names it, so that whoever finds it can reach and recognise its QEMU.
 */

import { z } from 'zod';

export const endpointSchema = z.object({
  qmpPath: z.string(),
  /**
   * Its process, as process-identity.ts names it: another QEMU may listen at that path later. null:
   * not visible from here.
   */
  identity: z.string().nullable().default(null),
  /** The migration whose claim its QEMU carries; null: it was never claimed. */
  claim: z.string().nullable().default(null),
  /** How to reach its host; null: this one. */
  reach: z
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
    .default(null),
});
export type Endpoint = z.infer<typeof endpointSchema>;
