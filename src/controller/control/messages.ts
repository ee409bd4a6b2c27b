/**
 * What another terminal and a running migration say to each other: one JSON object a line, one answer a
 * request. Hostile until parsed, though only the migration's owner can reach the socket.
 */

import { z } from 'zod';

/** A request has a few words; a status some hundred. */
export const REQUEST_BYTES_MAX = 4 * 1024;
export const REPLY_BYTES_MAX = 64 * 1024;

export const controlRequest = z.discriminatedUnion('do', [
  z.strictObject({ do: z.literal('status') }),
  z.strictObject({
    do: z.literal('set'),
    /** null takes the cap away; absent leaves it. */
    bandwidthBytesPerSecondMax: z.number().min(1).max(Number.MAX_SAFE_INTEGER).nullable().optional(),
    downtimeMsMax: z.number().min(1).max(600_000).optional(),
    /** null takes the bound away; absent leaves it. */
    downtimeMsBound: z.number().min(1).max(600_000).nullable().optional(),
  }),
  z.strictObject({ do: z.literal('switch') }),
  z.strictObject({ do: z.literal('cancel') }),
]);
export type ControlRequest = z.infer<typeof controlRequest>;

const figure = z.number().nullable();

/** Unknown is null. Bytes; rates in bytes a second. */
export const migrationStatus = z.object({
  migrationId: z.string(),
  processId: z.int(),
  arrangement: z.enum(['single', 'paired']),
  strategy: z.string(),
  source: z.string(),
  destination: z.string(),
  phase: z.enum(['preparing', 'first-pass', 'iterating', 'stop-and-copy', 'committed']),
  /** Since `migrate` was sent. */
  elapsedMs: figure,
  iteration: z.int().nullable(),
  sentBytes: figure,
  linkBytesPerSecond: figure,
  /** Of the newest whole iteration. */
  dirtyBytesPerSecond: figure,
  queuedBytes: figure,
  heldBytes: figure,
  downtimePredictedMs: figure,
  downtimeMsMax: z.number(),
  bandwidthBytesPerSecondMax: figure,
  /** Why the VM is not stopped yet, in one sentence; the last decision's reason after that. */
  why: z.string().nullable(),
  rule: z.string().nullable(),
});
export type MigrationStatus = z.infer<typeof migrationStatus>;

export const controlReply = z.union([
  z.object({ ok: z.literal(true), status: migrationStatus }),
  z.object({ ok: z.literal(false), code: z.string().regex(/^[A-Z0-9_]{1,64}$/), text: z.string() }),
]);
export type ControlReply = z.infer<typeof controlReply>;
