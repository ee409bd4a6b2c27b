/**
 * Splits a command as a shell would: blanks, quotes and backslashes; nothing is expanded. For --rsh and
 * --remote-command.
 */

import { GodwitError } from '../../base/index.ts';

const WORD = /(?:[^\s'"\\]|\\[\s\S]|'[^']*'|"(?:[^"\\]|\\[\s\S])*")+/y;

/** Errors: USAGE_VALUE for an open quote or no word at all. */
export function splitWords(name: string, text: string): readonly string[] {
  const words: string[] = [];
  let at = 0;
  while (at < text.length) {
    if (/\s/.test(text[at]!)) {
      at++;
      continue;
    }
    WORD.lastIndex = at;
    const match = WORD.exec(text);
    if (match === null) throw unreadable(name, text);
    words.push(unquoted(match[0]));
    at = WORD.lastIndex;
    // The pattern stops in front of a quote that is never closed.
    if (at < text.length && !/\s/.test(text[at]!)) throw unreadable(name, text);
  }
  if (words.length === 0) throw unreadable(name, text);
  return words;
}

function unquoted(word: string): string {
  return word.replace(/'([^']*)'|"((?:[^"\\]|\\[\s\S])*)"|\\([\s\S])/g, (_all, single, double, escaped) => {
    if (single !== undefined) return single;
    // Between double quotes only these lose their backslash (POSIX shell, 2.2.3).
    if (double !== undefined) return double.replace(/\\(["\\$`])/g, '$1');
    return escaped;
  });
}

function unreadable(name: string, text: string): GodwitError {
  return new GodwitError('USAGE_VALUE', `${name} ${JSON.stringify(text)} is no command`, {
    safe: 'nothing was started or changed',
    hint: 'write it as in a shell, with every quote closed',
  });
}
