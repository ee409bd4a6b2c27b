/** Rules about size: a file that is too long holds two things, a function that is too long does two. */

import { isTest, type Project, type SourceFile, type Violation } from './project.ts';
import { matching, type Token } from './tokens.ts';

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

export function fileLength(project: Project): Violation[] {
  return project.sources
    .filter((file) => !isTest(file.path))
    .map((file) => ({ path: file.path, lines: file.text.replace(/\n$/, '').split('\n').length }))
    .filter(({ lines }) => lines > FILE_LINES_MAX)
    .map(({ path, lines }) => ({
      path,
      line: FILE_LINES_MAX + 1,
      rule: 'file-length',
      why: `${lines} lines, at most ${FILE_LINES_MAX}: find the second noun in it`,
    }));
}

export function functionLength(project: Project): Violation[] {
  return project.sources
    .filter((file) => !isTest(file.path))
    .flatMap((file) =>
      functionsOf(file)
        .filter(({ lines }) => lines > FUNCTION_LINES_MAX)
        .map(({ line, lines }) => ({
          path: file.path,
          line,
          rule: 'function-length',
          why: `a function of ${lines} lines, at most ${FUNCTION_LINES_MAX}: name its parts`,
        })),
    );
}

interface FunctionSpan {
  readonly line: number;
  readonly lines: number;
}

/** Words before "(…) {" that are no function's name. */
const CONTROL = new Set(['if', 'for', 'while', 'switch', 'catch', 'with', 'await']);

/** Functions, methods and arrows with a body in braces, by the line of their parameters. */
export function functionsOf(file: SourceFile): FunctionSpan[] {
  const found: FunctionSpan[] = [];
  const span = (from: Token, open: number) => {
    const end = file.code[matching(file.code, open)]!;
    found.push({ line: from.line, lines: end.line - from.line + 1 });
  };
  file.code.forEach((token, index) => {
    if (token.kind !== 'punctuator') return;
    const before = file.code[index - 1];
    if (token.text === '=>' && isPunctuator(file.code[index + 1], '{')) span(token, index + 1);
    if (token.text !== '(' || (before?.kind === 'word' && CONTROL.has(before.text))) return;
    const open = bodyAfter(file.code, matching(file.code, index));
    if (open !== null && file.code[index - 2]?.text !== 'extends') span(token, open);
  });
  return found;
}

function isPunctuator(token: Token | undefined, text: string): boolean {
  return token?.kind === 'punctuator' && token.text === text;
}

/** Words and signs of a type after which another type must follow. */
const TYPE_PREFIXES = new Set([
  '|',
  '&',
  ':',
  'is',
  'asserts',
  'keyof',
  'typeof',
  'readonly',
  'extends',
  '?',
  '=>',
]);

/** Index of the "{" of the body behind the ")" at `close`, past a return type; null where there is no body. */
function bodyAfter(tokens: readonly Token[], close: number): number | null {
  if (isPunctuator(tokens[close + 1], '{')) return close + 1;
  if (!isPunctuator(tokens[close + 1], ':')) return null;
  let typeExpected = true;
  for (let index = close + 2; index < tokens.length; index++) {
    const token = tokens[index]!;
    if (token.kind === 'punctuator' && token.text === '{') {
      if (!typeExpected) return index;
      index = matching(tokens, index);
      typeExpected = false;
    } else if (token.text === '(' || token.text === '[') {
      index = matching(tokens, index);
      typeExpected = false;
    } else if (token.kind === 'punctuator' && /^[;,=)\]}]$/.test(token.text)) {
      return null;
    } else if (token.text === '<') {
      index = endOfTypeArguments(tokens, index);
      typeExpected = false;
    } else {
      typeExpected = TYPE_PREFIXES.has(token.text);
    }
  }
  return null;
}

function endOfTypeArguments(tokens: readonly Token[], open: number): number {
  let depth = 0;
  for (let index = open; index < tokens.length; index++) {
    const token = tokens[index]!;
    if (token.kind !== 'punctuator') continue;
    if (token.text === '<') depth++;
    if (token.text === '>' && --depth === 0) return index;
    if (token.text === ';') return index - 1;
  }
  return tokens.length - 1;
}
