/** Runs a command and checks its reply's shape. Not responsible for which commands there are. */

import type { z } from 'zod';
import type { ExecuteOptions, QmpExecutor } from './client.ts';
import { protocolError } from './errors.ts';
import type { JsonObject } from './lines.ts';

/**
 * The reply as `schema` reads it; members that we do not use are dropped. Errors: those of execute,
 * QMP_PROTOCOL for another shape.
 */
export async function ask<T>(
  qemu: QmpExecutor,
  schema: z.ZodType<T>,
  name: string,
  args: JsonObject = {},
  options: ExecuteOptions = {},
): Promise<T> {
  const reply = schema.safeParse(await qemu.execute(name, args, options));
  if (reply.success) return reply.data;
  const issue = reply.error.issues[0];
  throw protocolError(
    `QEMU's reply to ${name} has an unexpected shape at ${issue?.path.join('.') || 'its root'}: ${issue?.message}`,
  );
}

/** For commands whose reply carries nothing. */
export async function tell(
  qemu: QmpExecutor,
  name: string,
  args: JsonObject = {},
  options: ExecuteOptions = {},
): Promise<void> {
  await qemu.execute(name, args, options);
}
