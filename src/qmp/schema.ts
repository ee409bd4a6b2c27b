/**
 * QEMU's own description of its QMP (`query-qmp-schema`), indexed for questions of the kind "does it have
 * ...". Not responsible for what follows from an answer (probe.ts). Type names in it are numbers that change
 * with every build.
 */

import { z } from 'zod';
import type { QmpExecutor } from './client.ts';
import { ask } from './reply.ts';

const entrySchema = z.object({
  name: z.string(),
  'meta-type': z.string(),
  'arg-type': z.string().optional(),
  'ret-type': z.string().optional(),
  'element-type': z.string().optional(),
  'allow-oob': z.boolean().optional(),
  members: z.array(z.object({ name: z.string().optional(), type: z.string().optional() })).optional(),
  values: z.array(z.string()).optional(),
});

type Entry = z.infer<typeof entrySchema>;

/** QEMU 10.0 has about 1,500 entries. */
const ENTRIES_MAX = 100_000;

export class QmpSchema {
  readonly commands: ReadonlySet<string>;
  readonly events: ReadonlySet<string>;
  /** Commands that may run out of band. */
  readonly oobCommands: ReadonlySet<string>;
  readonly #entries: ReadonlyMap<string, Entry>;

  constructor(entries: readonly Entry[]) {
    this.#entries = new Map(entries.map((entry) => [`${entry['meta-type']} ${entry.name}`, entry]));
    const named = (metaType: string, also = (_: Entry) => true) =>
      new Set(
        entries.filter((entry) => entry['meta-type'] === metaType && also(entry)).map(({ name }) => name),
      );
    this.commands = named('command');
    this.events = named('event');
    this.oobCommands = named('command', (entry) => entry['allow-oob'] === true);
  }

  /** Names of a command's arguments; empty for a command that QEMU does not have. */
  argumentNames(command: string): ReadonlySet<string> {
    return memberNames(this.#object(this.#command(command)?.['arg-type']));
  }

  /** Names of the members of a command's reply, where that is one object. */
  replyNames(command: string): ReadonlySet<string> {
    return memberNames(this.#object(this.#command(command)?.['ret-type']));
  }

  /** The words of the enumeration `member` in the list `argument` of a command. */
  wordsOfListArgument(command: string, argument: string, member: string): ReadonlySet<string> {
    const list = this.#memberType(this.#object(this.#command(command)?.['arg-type']), argument);
    const element = this.#entries.get(`array ${list}`)?.['element-type'];
    const words = this.#entries.get(`enum ${this.#memberType(this.#object(element), member)}`);
    // `values` is the older spelling of an enumeration's members; QEMU 10.0 still sends both.
    return words === undefined ? new Set() : new Set([...(words.values ?? []), ...memberNames(words)]);
  }

  #command(name: string): Entry | undefined {
    return this.#entries.get(`command ${name}`);
  }

  #object(type: string | undefined): Entry | undefined {
    return this.#entries.get(`object ${type}`);
  }

  #memberType(entry: Entry | undefined, name: string): string | undefined {
    return entry?.members?.find((member) => member.name === name)?.type;
  }
}

function memberNames(entry: Entry | undefined): ReadonlySet<string> {
  return new Set((entry?.members ?? []).flatMap(({ name }) => (name === undefined ? [] : [name])));
}

export async function queryQmpSchema(qemu: QmpExecutor): Promise<QmpSchema> {
  return new QmpSchema(await ask(qemu, z.array(entrySchema).max(ENTRIES_MAX), 'query-qmp-schema'));
}
