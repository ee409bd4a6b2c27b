/**
 * The shape every command has. A command's file is loaded only when it is asked for, so that help stays
 * quick.
 */

import type { Command } from 'commander';

/** What a command may use of the world; tests pass their own. */
export interface CommandContext {
  /** For results: people and pipes read it. */
  readonly out: Output;
  /** For progress, warnings and errors. */
  readonly err: Output;
  /** Aborted by the first Ctrl-C, SIGTERM or SIGHUP: finish or undo, then return. */
  readonly interrupted: AbortSignal;
  /** Aborted by the second one: end as fast as is safe. */
  readonly forced: AbortSignal;
}

export interface Output {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type CommandOptions = Readonly<Record<string, unknown>>;

export interface CommandDefinition {
  /** It watches `interrupted` and ends in order by itself; without this the first Ctrl-C ends the process. */
  readonly handlesInterrupts?: boolean;
  /** Declares arguments and options on the command; its name and summary are set already. */
  configure(command: Command): void;
  /**
   * Does the work and resolves with an exit code (see exit.ts). `args` are the positional arguments, in
   * order.
   */
  run(context: CommandContext, args: readonly string[], options: CommandOptions): Promise<number>;
}

export interface CommandEntry {
  readonly name: string;
  /** One line for `godwit --help`. */
  readonly summary: string;
  load(): Promise<CommandDefinition>;
}
