/**
 * `godwit`: parses the command line, loads the one command that is asked for, and turns what it throws into a
 * message and an exit code. Not responsible for anything a command does.
 */

import { Command, CommanderError, Help, type Option } from 'commander';
import { GodwitError, systemClock } from '../base/index.ts';
import type { CommandContext, CommandEntry, Output } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit.ts';
import { type Interrupts, listenForInterrupts } from './interrupts.ts';
import { columnsOf, renderError } from './screen/output.ts';
import { packageVersion } from './version.ts';

export interface MainOptions {
  readonly out: Output;
  readonly err: Output;
  readonly commands: readonly CommandEntry[];
}

/** Runs `godwit <args>` and resolves with the exit code. */
export async function main(args: readonly string[], options: Partial<MainOptions> = {}): Promise<number> {
  const out = options.out ?? process.stdout;
  const err = options.err ?? process.stderr;
  if (out === process.stdout) outliveReaders();
  const interrupts = listenForInterrupts(process, systemClock);
  const { interrupted, forced } = interrupts;
  try {
    const code = await parseAndRun(args, options.commands ?? COMMANDS, { out, err, interrupted, forced });
    return code;
  } catch (error) {
    const json = asksForJson(args);
    if (error instanceof CommanderError) {
      if (error.exitCode === 0) return EXIT.ok;
      return renderError(wrongCommandLine(error), { out, err, json });
    }
    if (interrupted.aborted && error === interrupted.reason) return exitCodeAfter(interrupts);
    return renderError(error, { out, err, json });
  } finally {
    interrupts.close();
  }
}

async function parseAndRun(
  args: readonly string[],
  commands: readonly CommandEntry[],
  context: CommandContext,
): Promise<number> {
  let exitCode: number = EXIT.ok;
  const program = newProgram(context);
  const asked = askedFor(args, commands);
  for (const entry of commands) {
    const command = program.command(entry.name).description(entry.summary);
    if (entry !== asked) continue;
    const definition = await entry.load();
    // Such a command ends what it has begun, whether or not anybody still reads.
    readersMayLeave = definition.handlesInterrupts === true;
    definition.configure(command);
    command.action(async () => {
      const run = definition.run(context, command.args, command.opts());
      exitCode = await (definition.handlesInterrupts
        ? run
        : Promise.race([run, rejectOn(context.interrupted)]));
    });
  }
  if (args.length === 0) {
    program.outputHelp();
    return EXIT.ok;
  }
  await program.parseAsync([...args], { from: 'user' });
  return exitCode;
}

function rejectOn(signal: AbortSignal): Promise<never> {
  return new Promise((_, reject) => {
    signal.addEventListener('abort', () => reject(signal.reason), { once: true });
  });
}

function newProgram(context: CommandContext): Command {
  return new Command('godwit')
    .description('Live-migrates KVM virtual machines that will not converge, between stock QEMUs.')
    .version(packageVersion())
    .exitOverride() // subcommands inherit it, and the outputs too
    .configureHelp({ optionDescription: describeOption })
    .configureOutput({
      writeOut: (text) => void context.out.write(text),
      writeErr: (text) => void context.err.write(text),
      // main tells it as any other error.
      outputError: () => undefined,
      getOutHelpWidth: () => columnsOf(context.out),
      getErrHelpWidth: () => columnsOf(context.err),
      getOutHasColors: () => false,
      getErrHasColors: () => false,
    });
}

/** A repeatable option begins with an empty list, which tells nobody anything. */
function describeOption(option: Option): string {
  return new Help().optionDescription(option).replace(' (default: [])', '');
}

/** The command named first, also behind `help`: the only one that needs loading. */
function askedFor(args: readonly string[], commands: readonly CommandEntry[]): CommandEntry | null {
  const words = args.filter((arg) => !arg.startsWith('-'));
  const name = words[0] === 'help' ? words[1] : words[0];
  return commands.find((entry) => entry.name === name) ?? null;
}

function wrongCommandLine(error: CommanderError): GodwitError {
  // Of `help NAME` with a name that no command has, Commander has shown the list and says no more.
  const isHelp = error.code === 'commander.help';
  const message = isHelp ? 'there is no such command' : error.message.replace(/^error: /, '');
  return new GodwitError('USAGE_COMMAND_LINE', message.replaceAll('\n', ' '), {
    safe: 'nothing was started or changed',
    hint: 'godwit help lists the commands, godwit help COMMAND its arguments and options',
  });
}

/** Read before parsing, because a parse error is shown as JSON too. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  return (end < 0 ? args : args.slice(0, end)).includes('--json');
}

function exitCodeAfter(interrupts: Interrupts): number {
  const first = interrupts.first();
  if (first === 'SIGTERM') return EXIT.terminated;
  return first === 'SIGHUP' ? EXIT.hangup : EXIT.interrupted;
}

let readersMayLeave = false;

/**
 * `godwit inspect file | head` is no failure. `godwit migrate … | head` goes on without a reader, because its
 * exit code must say where the VM is; so it does with a full disk behind standard output, or without its
 * terminal.
 */
function outliveReaders(): void {
  process.stdout.on('error', (error: NodeJS.ErrnoException) => {
    if (readersMayLeave) return;
    if (error.code === 'EPIPE') process.exit(EXIT.ok);
    throw error;
  });
  process.stderr.on('error', () => undefined);
}
