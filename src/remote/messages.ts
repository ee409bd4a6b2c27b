/**
 * What the source's controller and `godwit receive` say: one JSON object a line, over the far side's standard
 * input and output (--stdio) or over a connection of its listener (--listen; docs/format/link.md, 8). The key
 * travels here and nowhere else. Lines are hostile until parsed.
 */

import { z } from 'zod';
import { GodwitError } from '../base/index.ts';
import { LANES_MAX, PSK_BYTES } from '../link/index.ts';

/** A unix socket's path has at most 107 bytes. */
const INCOMING_CHARACTERS_MAX = 107;

const hex = (bytes: number) => z.string().regex(new RegExp(`^[0-9a-f]{${bytes * 2}}$`));

/** How a migration begins: the first line over standard input, or part of a `control` connection's. */
export const receiveHello = z.object({
  godwit: z.literal(1),
  migrationId: hex(16),
  /** The TLS 1.3 pre-shared key of every data connection; null where certificates, or nobody, guard them. */
  key: hex(PSK_BYTES).nullable(),
  lanes: z.int().min(1).max(LANES_MAX),
  linkTimeoutMs: z.number().positive(),
  /**
   * The destination QEMU there: by its QMP socket and a thread of it the far side finds where it can meet it.
   */
  qemu: z.object({ qmpPath: z.string(), threadId: z.int().nullable() }).nullable().default(null),
  /**
   * Where the destination QEMU listens, where whoever controls it says so (libvirt); null: in a folder that
   * the far side makes.
   */
  incoming: z.string().startsWith('/').max(INCOMING_CHARACTERS_MAX).nullable().default(null),
  /** Where to listen for data; null: every address, any port. */
  listen: z.object({ host: z.string().nullable(), port: z.int().min(0).max(65535) }),
});
export type ReceiveHello = z.infer<typeof receiveHello>;

const session = hex(16);

/**
 * First line of a connection to the listener that is none of the link's. `session` is the
 * id of the migration.
 */
export const receiveOpening = z.discriminatedUnion('open', [
  /** The connection goes on as standard input and output do with --stdio. */
  z.object({ godwit: z.literal(1), open: z.literal('control'), hello: receiveHello }),
  /** After the answer it is a connection to the QMP socket. */
  z.object({ godwit: z.literal(1), open: z.literal('qmp'), session }),
  /** The migration has ended: nobody will come again. */
  z.object({
    godwit: z.literal(1),
    open: z.literal('end'),
    session,
    outcome: z.enum(['completed', 'aborted']),
  }),
]);
export type ReceiveOpening = z.infer<typeof receiveOpening>;

/** Later lines to the far side. */
export const receiveRequest = z.discriminatedUnion('do', [
  /** The destination QEMU listens now: connect to it. */
  z.object({ do: z.literal('feed') }),
]);
export type ReceiveRequest = z.infer<typeof receiveRequest>;

/** Lines from the far side. */
export const receiveEvent = z.discriminatedUnion('event', [
  z.object({
    event: z.literal('listening'),
    version: z.string(),
    port: z.int().min(1).max(65535),
    /** Where the destination QEMU must listen: an address on the far host. */
    incoming: z.string().regex(/^unix:\//),
  }),
  z.object({ event: z.literal('feeding') }),
  z.object({ event: z.literal('complete'), pages: z.int() }),
  /** Answers to the openings `qmp` and `end`. */
  z.object({ event: z.literal('qmp') }),
  z.object({ event: z.literal('ended') }),
  z.object({ event: z.literal('error'), code: z.string(), text: z.string() }),
]);
export type ReceiveEvent = z.infer<typeof receiveEvent>;

export const LINE_BYTES_MAX = 64 * 1024;

/** Errors: RECEIVE_PROTOCOL. */
export function parseLine<Schema extends z.ZodType>(schema: Schema, line: string): z.infer<Schema> {
  try {
    return schema.parse(JSON.parse(line));
  } catch (cause) {
    throw new GodwitError(
      'RECEIVE_PROTOCOL',
      `not a line of godwit receive: ${JSON.stringify(line.slice(0, 200))}`,
      {
        cause,
        hint: 'is godwit of the same version installed on the far host? --remote-command says how it is started; its login must print nothing',
      },
    );
  }
}

/** Cuts lines out of chunks. Errors: RECEIVE_PROTOCOL for a line above LINE_BYTES_MAX. */
export class LineCutter {
  #rest = '';

  push(chunk: string): string[] {
    const lines = (this.#rest + chunk).split('\n');
    this.#rest = lines.pop() ?? '';
    if (this.#rest.length > LINE_BYTES_MAX) {
      throw new GodwitError('RECEIVE_PROTOCOL', `a line of more than ${LINE_BYTES_MAX} bytes`);
    }
    return lines.filter((line) => line.trim() !== '');
  }
}
