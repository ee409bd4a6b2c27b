/**
 * Splits TypeScript into tokens, well enough to tell code from comments and strings and to match brackets.
 * Not a parser: it knows no grammar beyond that (typescript 7 has no stable programming interface to use instead).
 */

export type TokenKind = 'word' | 'punctuator' | 'string' | 'template' | 'number' | 'regex' | 'comment';

export interface Token {
  readonly kind: TokenKind;
  /** A string's or comment's contents; otherwise the source text. */
  readonly text: string;
  /** From 1. */
  readonly line: number;
}

/** After these words a slash begins a regular expression, not a division. */
const BEFORE_OPERAND = new Set(
  'return typeof instanceof in of new delete void throw case do else yield await export default'.split(' '),
);
const PUNCTUATORS = /=>|\?\.|\.\.\.|[{}()[\];,<>+\-*/%&|^!~?:=.@#]/y;
const WORD = /[\p{ID_Start}$_][\p{ID_Continue}$\u200c\u200d]*/uy;
const NUMBER = /(?:0[xXbBoO][\da-fA-F_]+|\d[\d_]*(?:\.[\d_]*)?(?:[eE][+-]?\d+)?)n?/y;
const REGEX = /\/(?:\\.|\[(?:\\.|[^\]\\\n])*\]|[^/\\\n[])+\/[a-z]*/y;

export function tokenize(source: string): Token[] {
  const tokens: Token[] = [];
  /** For each open template substitution, how many braces are open inside it. */
  const substitutions: number[] = [];
  let at = source.startsWith('#!') ? endOfLine(source, 0) : 0;
  let line = 1;

  const push = (kind: TokenKind, text: string, end: number) => {
    tokens.push({ kind, text, line });
    for (let index = at; index < end; index++) if (source.charCodeAt(index) === 10) line++;
    at = end;
  };
  const match = (pattern: RegExp): string | null => {
    pattern.lastIndex = at;
    return pattern.exec(source)?.[0] ?? null;
  };

  while (at < source.length) {
    const char = source[at]!;
    if (char === '\n') {
      line++;
      at++;
    } else if (/\s/.test(char)) {
      at++;
    } else if (source.startsWith('//', at)) {
      const end = endOfLine(source, at);
      push('comment', source.slice(at + 2, end), end);
    } else if (source.startsWith('/*', at)) {
      const close = source.indexOf('*/', at + 2);
      const end = close < 0 ? source.length : close + 2;
      push('comment', source.slice(at + 2, close < 0 ? end : close), end);
    } else if (char === "'" || char === '"') {
      const end = endOfString(source, at);
      push('string', source.slice(at + 1, end - 1), end);
    } else if (char === '`' || (char === '}' && substitutions.at(-1) === 0)) {
      if (char === '}') substitutions.pop();
      const piece = templatePiece(source, at + 1);
      if (piece.opens) substitutions.push(0);
      push('template', piece.text, piece.end);
    } else {
      const regex = char === '/' && regexMayBegin(tokens) ? match(REGEX) : null;
      const word = match(WORD);
      const number = word === null ? match(NUMBER) : null;
      if (regex !== null) push('regex', regex, at + regex.length);
      else if (word !== null) push('word', word, at + word.length);
      else if (number !== null) push('number', number, at + number.length);
      else {
        const text = match(PUNCTUATORS) ?? char;
        const depth = substitutions.length - 1;
        if (depth >= 0 && text === '{') substitutions[depth]!++;
        if (depth >= 0 && text === '}') substitutions[depth]!--;
        push('punctuator', text, at + text.length);
      }
    }
  }
  return tokens;
}

function endOfLine(source: string, from: number): number {
  const end = source.indexOf('\n', from);
  return end < 0 ? source.length : end;
}

function endOfString(source: string, from: number): number {
  const quote = source[from];
  let at = from + 1;
  while (at < source.length && source[at] !== quote && source[at] !== '\n') at += source[at] === '\\' ? 2 : 1;
  return Math.min(at + 1, source.length);
}

/** Up to the closing backtick, or to the substitution that opens. */
function templatePiece(source: string, from: number): { text: string; end: number; opens: boolean } {
  let at = from;
  while (at < source.length) {
    if (source[at] === '\\') at += 2;
    else if (source[at] === '`') return { text: source.slice(from, at), end: at + 1, opens: false };
    else if (source.startsWith('${', at)) return { text: source.slice(from, at), end: at + 2, opens: true };
    else at++;
  }
  return { text: source.slice(from), end: source.length, opens: false };
}

function regexMayBegin(tokens: readonly Token[]): boolean {
  const last = tokens.findLast((token) => token.kind !== 'comment');
  if (last === undefined) return true;
  if (last.kind === 'word') return BEFORE_OPERAND.has(last.text);
  return last.kind === 'punctuator' && last.text !== ')' && last.text !== ']';
}

const CLOSER: Readonly<Record<string, string>> = { '(': ')', '[': ']', '{': '}' };

/** Index of the bracket that closes the one at `open`, or the last index if none does. */
export function matching(tokens: readonly Token[], open: number): number {
  const opener = tokens[open]!.text;
  const closer = CLOSER[opener];
  let depth = 0;
  for (let index = open; index < tokens.length; index++) {
    const token = tokens[index]!;
    if (token.kind !== 'punctuator') continue;
    if (token.text === opener) depth++;
    if (token.text === closer && --depth === 0) return index;
  }
  return tokens.length - 1;
}
