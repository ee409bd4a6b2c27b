/** Rules about what is written: leftovers, this machine's names, error codes, links, dependencies. */

import { readdirSync, readFileSync } from 'node:fs';
import { homedir } from 'node:os';
import { join, normalize, posix } from 'node:path';
import type { Project, TextFile, Violation } from './project.ts';

/** Put together here, so that this file does not break its own rules. */
const LEFTOVER = new RegExp(
  `\\b(?:${['TO', 'FIX'].map((word) => word + { TO: 'DO', FIX: 'ME' }[word]).join('|')})\\b`,
);

export function leftovers(project: Project): Violation[] {
  return eachLine(project.sources, (line) =>
    LEFTOVER.test(line)
      ? { rule: 'leftover', why: 'a note to do something later: do it, or file an issue' }
      : null,
  );
}

const MACHINE_PATH = new RegExp(`(?<![\\w.~$}-])/(?:${['work', 'root'].join('|')})/`);

export function machinePaths(project: Project): Violation[] {
  return eachLine(project.files, (line) =>
    MACHINE_PATH.test(line)
      ? { rule: 'machine-path', why: 'an absolute path of one machine: it means nothing elsewhere' }
      : null,
  );
}

export function mirrorHosts(project: Project, hosts: readonly string[]): Violation[] {
  const patterns = hosts.map((host) => {
    const literal = host.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
    // A name without a dot may be any word; as a host it stands behind two slashes.
    return new RegExp(
      host.includes('.') ? `(?<![\\w.-])${literal}(?![\\w-])` : `//${literal}(?=[:/\\s]|$)`,
      'i',
    );
  });
  return eachLine(project.files, (line) =>
    patterns.some((pattern) => pattern.test(line))
      ? {
          rule: 'mirror-host',
          why: 'names the package mirror of the machine this runs on: it means nothing elsewhere',
        }
      : null,
  );
}

/** What everyone has by default is no secret and no mistake. */
const PUBLIC_HOSTS =
  /^(localhost|127\.0\.0\.1|\[::1\]|registry\.npmjs\.org|deb\.debian\.org|security\.debian\.org|(.+\.)?archive\.ubuntu\.com|security\.ubuntu\.com|ports\.ubuntu\.com)$/;

/** The hosts that this machine's apt and npm are set up with. */
export function hostsOfThisMachine(): string[] {
  const aptFolder = '/etc/apt/sources.list.d';
  const files = [
    '/etc/apt/sources.list',
    ...namesIn(aptFolder).map((name) => join(aptFolder, name)),
    join(homedir(), '.npmrc'),
    ...['/etc/npmrc', '/usr/etc/npmrc', '/usr/local/etc/npmrc', '/usr/lib/node_modules/npm/npmrc'],
  ];
  const texts = [...files.map(textOf), process.env['npm_config_registry'] ?? ''];
  return hostsIn(texts.join('\n'));
}

export function hostsIn(text: string): string[] {
  const lines = text.split('\n').filter((line) => !/^\s*[#;]/.test(line));
  const found = lines
    .join('\n')
    .matchAll(/(?:[a-z+]+:)?\/\/(?:[^\s/@]*@)?([\w.-]+|\[[\da-f:]+\])(?=[:/\s]|$)/gi);
  return [...new Set([...found].map((match) => match[1]!.toLowerCase()))].filter(
    (host) => !PUBLIC_HOSTS.test(host),
  );
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder).filter((name) => /\.(list|sources)$/.test(name));
  } catch {
    return [];
  }
}

function textOf(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}

type Finding = Pick<Violation, 'rule' | 'why'>;

function eachLine(files: readonly TextFile[], check: (line: string) => Finding | null): Violation[] {
  return files.flatMap(({ path, text }) =>
    text.split('\n').flatMap((line, index) => {
      const finding = check(line);
      return finding === null ? [] : [{ path, line: index + 1, ...finding }];
    }),
  );
}

const ERRORS_DOC = 'docs/errors.md';

/** The code of an error, or of a finding of preflight, where it is made. */
const CODE_GIVEN = /(?:\b\w*Error\(|\bfinding\([^,()]+,)\s*'([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)'/g;

/** Both ways: a code that is thrown is explained, and one that is explained exists. */
export function errorCodes(project: Project): Violation[] {
  const doc = project.texts.get(ERRORS_DOC);
  if (doc === undefined) return [];
  const explained = new Set([...doc.matchAll(/`([A-Z][A-Z0-9_]*)`/g)].map((match) => match[1]!));
  const thrown = project.product.flatMap(({ path, text }) =>
    [...text.matchAll(CODE_GIVEN)].map((match) => ({
      path,
      line: lineAt(text, match.index + match[0].length),
      code: match[1]!,
    })),
  );
  const strings = new Set(
    project.product.flatMap(({ text }) =>
      [...text.matchAll(/'([A-Z][A-Z0-9_]*)'/g)].map((match) => match[1]!),
    ),
  );
  return [
    ...thrown
      .filter(({ code }) => !explained.has(code))
      .map(({ path, line, code }) => ({
        path,
        line,
        rule: 'error-code',
        why: `${code} is not explained in ${ERRORS_DOC}`,
      })),
    ...doc.split('\n').flatMap((text, index) => {
      const code = /^(?:\||#+)\s*`([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)`/.exec(text)?.[1];
      if (code === undefined || strings.has(code)) return [];
      return [
        {
          path: ERRORS_DOC,
          line: index + 1,
          rule: 'error-code',
          why: `${code} is explained, but nothing in src throws it`,
        },
      ];
    }),
  ];
}

function lineAt(text: string, offset: number): number {
  return text.slice(0, offset).split('\n').length;
}

/** `exists` tells of a path relative to the root, folders included. */
export function links(project: Project, exists: (path: string) => boolean): Violation[] {
  return [...project.texts]
    .filter(([path]) => path.endsWith('.md'))
    .flatMap(([path, text]) =>
      proseLines(text).flatMap((line, index) =>
        [...line.matchAll(/\]\(\s*<?([^)\s>]+)>?(?:\s+"[^"]*")?\s*\)/g)].flatMap((match) => {
          const target = decodeURI(match[1]!.replace(/[#?].*$/, ''));
          if (target === '' || /^[a-z][a-z+.-]*:/i.test(match[1]!)) return [];
          const file = target.startsWith('/')
            ? target.slice(1)
            : normalize(posix.join(posix.dirname(path), target));
          if (exists(file)) return [];
          return [{ path, line: index + 1, rule: 'link', why: `the link to ${match[1]} leads nowhere` }];
        }),
      ),
    );
}

/** A path from the root; one with a wildcard or a place-holder in it names no file. */
const NAMED_PATH = /(?<![\w./-])(?:src|test|bench|scripts|plans|bin|docs)\/[\w./-]*\w(?![\w*{/-])/g;

/**
 * A file that was moved leaves its name behind in documents. `exists` tells of a path relative to the root.
 */
export function namedPaths(project: Project, exists: (path: string) => boolean): Violation[] {
  return eachMatch(project, NAMED_PATH).flatMap(({ path, line, found }) =>
    exists(found) ? [] : [{ path, line, rule: 'named-path', why: `${found} is not in this tree` }],
  );
}

function eachMatch(project: Project, pattern: RegExp) {
  return project.files
    .filter(({ path }) => path.endsWith('.md'))
    .flatMap(({ path, text }) =>
      [...text.matchAll(pattern)].map((match) => ({
        path,
        line: lineAt(text, match.index),
        found: match[0],
      })),
    );
}

/** The lines, those inside code fences and code spans emptied: an example is no link. */
function proseLines(text: string): string[] {
  let fenced = false;
  return text.split('\n').map((line) => {
    if (/^\s*(```|~~~)/.test(line)) {
      fenced = !fenced;
      return '';
    }
    return fenced ? '' : line.replace(/`[^`]*`/g, '');
  });
}

export function dependencies(project: Project): Violation[] {
  const text = project.texts.get('ARCHITECTURE.md');
  const manifest = project.texts.get('package.json');
  if (text === undefined || manifest === undefined) return [];
  const parsed: Record<string, unknown> = JSON.parse(manifest);
  const names = ['dependencies', 'devDependencies', 'optionalDependencies'].flatMap((kind) =>
    Object.keys(parsed[kind] ?? {}),
  );
  return names
    .filter((name) => !text.includes(name))
    .map((name) => ({
      path: 'package.json',
      line: manifest.split('\n').findIndex((line) => line.includes(`"${name}"`)) + 1,
      rule: 'dependency',
      why: `${name} is not named in ARCHITECTURE.md with the reason it is there`,
    }));
}
