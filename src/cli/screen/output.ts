/**
 * How the command line speaks: errors, tables, colours. Every function takes the output it writes to or
 * returns text, so tests read what a person would. Not responsible for live progress (live.ts) or exit codes
 * (exit.ts).
 */

import { stripVTControlCharacters } from 'node:util';
import { errorCode, errorMessage, GodwitError } from '../../base/index.ts';
import type { Output } from '../command.ts';
import { EXIT, exitCodeOf, isSystemError } from '../exit.ts';

/** Colour only where a person looks at a terminal and has not asked for none (https://no-color.org). */
export function wantsColour(output: Output, env: NodeJS.ProcessEnv = process.env): boolean {
  return output.isTTY === true && !env['NO_COLOR'] && env['TERM'] !== 'dumb';
}

const TERMINAL_COLUMNS_DEFAULT = 80;

/**
 * A terminal that does not know its width says 0 (script(1), some CI). `elsewhere`: where
 * there is no terminal.
 */
export function columnsOf({ columns }: Output, elsewhere = TERMINAL_COLUMNS_DEFAULT): number {
  if (columns === undefined) return elsewhere;
  return columns > 0 ? columns : TERMINAL_COLUMNS_DEFAULT;
}

const STYLES = {
  bold: [1, 22],
  dim: [2, 22],
  red: [31, 39],
  green: [32, 39],
  yellow: [33, 39],
  cyan: [36, 39],
} as const;
export type Style = keyof typeof STYLES;
export type Paint = (style: Style, text: string) => string;

export function painter(enabled: boolean): Paint {
  if (!enabled) return (_style, text) => text;
  return (style, text) => `\u001b[${STYLES[style][0]}m${text}\u001b[${STYLES[style][1]}m`;
}

/** Text from outside (a file, a peer, a guest) must not move the cursor or change the terminal's title. */
export function printable(text: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it takes out
  return stripVTControlCharacters(text).replace(/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g, '\ufffd');
}

export interface RenderedError {
  readonly error: {
    readonly code: string;
    readonly message: string;
    readonly safe: string | null;
    readonly hint: string | null;
    readonly fields: Readonly<Record<string, string | number | boolean | null>>;
    readonly causes: readonly string[];
  };
  readonly exitCode: number;
}

/** The causes of an error, nearest first. A cycle or an endless chain ends after eight. */
function causesOf(error: unknown): string[] {
  const causes: string[] = [];
  let next = error instanceof Error ? error.cause : undefined;
  while (next !== undefined && next !== null && causes.length < 8) {
    causes.push(printable(errorMessage(next)));
    next = next instanceof Error ? next.cause : undefined;
  }
  return causes;
}

export function describeError(error: unknown): RenderedError {
  const exitCode = exitCodeOf(error);
  const ours = error instanceof GodwitError;
  return {
    error: {
      code: exitCode === EXIT.internal ? 'INTERNAL' : errorCode(error),
      message: printable(errorMessage(error)),
      safe: ours && error.safe !== null ? printable(error.safe) : safeAfter(exitCode),
      hint: ours && error.hint !== null ? printable(error.hint) : hintFor(error, exitCode),
      fields: ours ? error.fields : {},
      causes: causesOf(error),
    },
    exitCode,
  };
}

/** What the exit code itself promises, where the error does not say more. */
function safeAfter(exitCode: number): string | null {
  return exitCode === EXIT.usage ? 'nothing was started or changed' : null;
}

const HINT_OF_SYSTEM_CODE: Readonly<Record<string, string>> = {
  EACCES: 'run it as the user who owns the file or socket',
  ENOENT: 'check the path',
};

function hintFor(error: unknown, exitCode: number): string | null {
  if (exitCode === EXIT.internal) return 'this is a bug in godwit: please report it with the lines above';
  return isSystemError(error) ? (HINT_OF_SYSTEM_CODE[error.code ?? ''] ?? null) : null;
}

/**
 * Writes an error and returns its exit code. With `json` it is one object on one line of `out`, where the
 * result would have been; otherwise what happened, what is safe and what to do, on `err`.
 */
export function renderError(error: unknown, outputs: { out: Output; err: Output; json: boolean }): number {
  const { error: described, exitCode } = describeError(error);
  if (outputs.json) {
    outputs.out.write(`${JSON.stringify({ success: false, error: described })}\n`);
    return exitCode;
  }
  const paint = painter(wantsColour(outputs.err));
  const lines = [`${paint('red', 'error')} ${paint('dim', `[${described.code}]`)} ${described.message}`];
  for (const cause of described.causes) lines.push(`  because  ${cause}`);
  if (described.safe !== null) lines.push(`  ${paint('green', 'safe')}     ${described.safe}`);
  if (described.hint !== null) lines.push(`  ${paint('cyan', 'to do')}    ${described.hint}`);
  if (exitCode === EXIT.internal && error instanceof Error && error.stack !== undefined) {
    lines.splice(1, 0, paint('dim', printable(error.stack.split('\n').slice(1).join('\n'))));
  }
  outputs.err.write(`${lines.join('\n')}\n`);
  return exitCode;
}
