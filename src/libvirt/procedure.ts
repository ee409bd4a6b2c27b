/** One call or event of libvirt's remote program as a value: its number, and what it carries. */

import type { Codec } from './codec.ts';

export interface Procedure<Args, Result> {
  /** As in libvirt's API, without "vir" and in its usual spelling. */
  readonly name: string;
  /** REMOTE_PROC_… in libvirt's remote_protocol.x; a number once given never changes. */
  readonly number: number;
  readonly args: Codec<Args>;
  readonly result: Codec<Result>;
}

export function procedure<Args, Result>(
  name: string,
  number: number,
  args: Codec<Args>,
  result: Codec<Result>,
): Procedure<Args, Result> {
  return { name, number, args, result };
}

export interface EventProcedure<Message extends { readonly callbackId: number }> {
  readonly name: string;
  readonly number: number;
  /** VIR_DOMAIN_EVENT_ID_…: what a client registers for. */
  readonly eventId: number;
  readonly message: Codec<Message>;
}
