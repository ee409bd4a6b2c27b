/**
 * The error that libvirt puts into a reply (virNetMessageError); its numbers are those of libvirt's
 * virterror.h.
 */

import { int, optional, struct, uuid, words } from './codec.ts';

const named = { name: words, uuid } as const;

export const remoteError = struct({
  code: int,
  /** The part of libvirt that it comes from. */
  domain: int,
  message: optional(words),
  level: int,
  /** libvirt fills neither the domain nor the network. */
  dom: optional(struct({ ...named, id: int })),
  str1: optional(words),
  str2: optional(words),
  str3: optional(words),
  int1: int,
  int2: int,
  net: optional(struct(named)),
});

/** The numbers that godwit tells apart (virErrorNumber). */
export const FAULT = { NO_DOMAIN: 42, OPERATION_INVALID: 55 } as const;
