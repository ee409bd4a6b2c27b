/**
 * What a host's threads take for a byte and a page, stage by stage: how fast QEMU and the gateway are on it.
 * Measured by `godwit lab profile`, committed in profiles/. Not responsible for what follows (way.ts).
 */

import { readFileSync } from 'node:fs';
import { z } from 'zod';
import { errorMessage, GodwitError } from '../../base/index.ts';

export const PROFILE_SCHEMA = 'godwit.profile/1';
/** A larger file is no profile. */
const PROFILE_BYTES_MAX = 64 * 1024;

const cost = z.number().min(0).max(1e6);
/** Nanoseconds of one thread. A whole page takes 4,096 times the first, a zero page the second. */
const stage = z.strictObject({
  nanosecondsPerByte: cost,
  nanosecondsPerZeroPage: cost,
  /** At most so many threads share the work. */
  threads: z.int().min(1).max(1024),
});
const schema = z.strictObject({
  schema: z.literal(PROFILE_SCHEMA),
  name: z.string().min(1).max(64),
  /** Where the figures come from. */
  about: z.string().max(2000),
  /** Each end has so many for QEMU's and the gateway's threads, whatever the guest takes. */
  cores: z.number().min(0.1).max(1024),
  qemu: z.strictObject({
    /** The one stream: reads pages, finds zero ones, writes the socket. */
    send: stage,
    load: stage,
    /** multifd: each channel is a thread. `threads` 1: it has none. */
    sendChannels: stage,
    loadChannels: stage,
    /** On top of each byte where the socket is encrypted. */
    tlsSendNanosecondsPerByte: cost,
    tlsReceiveNanosecondsPerByte: cost,
  }),
  gateway: z.strictObject({
    /** Socket to store. */
    intake: stage,
    /** Whole pages with their checksum; see `packNanosecondsPerByte`. */
    encode: stage,
    packNanosecondsPerByte: cost,
    /** Of a rewritten page, on the encoder's thread. */
    deltaNanosecondsPerPage: cost,
    send: stage,
    receive: stage,
    /** Into the destination QEMU. */
    feed: stage,
    tlsSendNanosecondsPerByte: cost,
    tlsReceiveNanosecondsPerByte: cost,
    /** The source gateway takes QEMU's multifd channels, and the far one feeds them. */
    takesChannels: z.boolean(),
  }),
});

export type Profile = z.infer<typeof schema>;
export type StageCost = z.infer<typeof stage>;

/** Errors: PROFILE_INVALID. */
export function parseProfile(text: string, where: string): Profile {
  const refuse = (why: string, cause?: unknown) =>
    new GodwitError('PROFILE_INVALID', `${where} is no profile: ${why}`, {
      ...(cause === undefined ? {} : { cause }),
      hint: 'godwit lab profile FILE writes one; profiles/ has two',
      safe: 'nothing was started',
    });
  if (text.length > PROFILE_BYTES_MAX) throw refuse(`more than ${PROFILE_BYTES_MAX} bytes`);
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch (cause) {
    throw refuse(errorMessage(cause), cause);
  }
  const parsed = schema.safeParse(document);
  if (!parsed.success) throw refuse(z.prettifyError(parsed.error));
  return parsed.data;
}

/** Two cores under TCG, where the committed results are from; and a host of 16 cores, derived from it. */
export const COMMITTED_PROFILES = ['default', 'host-16'] as const;

/** Errors: PROFILE_INVALID; the file system's. */
export function committedProfile(name: string): Profile {
  const file = new URL(`../../../profiles/${name}.json`, import.meta.url);
  return parseProfile(readFileSync(file, 'utf8'), `profiles/${name}.json`);
}
