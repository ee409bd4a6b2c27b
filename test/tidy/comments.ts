/** Rules about comments: they wrap where the code wraps, and the files that they name are there. */

import { basename } from 'node:path';
import type { Project, TextFile, Violation } from './project.ts';

/** Biome's lineWidth, to which it formats code but not comments. */
const COLUMNS_MAX = 110;

/** A line that is nothing but comment; what stands behind code is as long as the code lets it be. */
const COMMENT_LINE = /^\s*(?:\/\/|\/?\*)/;

/** A directive for a tool stands on one line. */
const DIRECTIVE = /biome-ignore|@(?:param|returns|property|type)\b/;

export function longComments(project: Project): Violation[] {
  return commentLines(project.sources)
    .filter(({ text }) => text.length > COLUMNS_MAX && !DIRECTIVE.test(text))
    .map(({ path, line, text }) => ({
      path,
      line,
      rule: 'comment-length',
      why: `${text.length} columns: comments wrap at ${COLUMNS_MAX}, like code`,
    }));
}

/** A file's name, with folders or without; not behind a wildcard or within a longer word. */
const FILE_NAME = /(?<![\w*./-])((?:[\w-]+\/)*[a-z][\w-]*(?:\.test|\.testing|\.live\.test)?\.ts)\b/g;

/** A file that was moved leaves its name behind in comments of others. */
export function namedFiles(project: Project): Violation[] {
  const paths = project.sources.map(({ path }) => `/${path}`);
  const names = new Set(paths.map((path) => basename(path)));
  const isThere = (named: string) =>
    names.has(basename(named)) && (!named.includes('/') || paths.some((path) => path.endsWith(`/${named}`)));
  return commentLines(project.sources).flatMap(({ path, line, text }) =>
    [...text.matchAll(FILE_NAME)]
      .filter((match) => !isThere(match[1]!))
      .map((match) => ({ path, line, rule: 'named-file', why: `${match[1]} is no file of this tree` })),
  );
}

interface CommentLine {
  readonly path: string;
  readonly line: number;
  readonly text: string;
}

function commentLines(files: readonly TextFile[]): CommentLine[] {
  return files.flatMap(({ path, text }) =>
    text
      .split('\n')
      .map((line, index) => ({ path, line: index + 1, text: line }))
      .filter((each) => COMMENT_LINE.test(each.text)),
  );
}
