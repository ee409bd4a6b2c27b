/**
 * Names of the source's host as the twin has them: what `--map` changes, and where the twin makes what it
 * makes. Not responsible for finding the names in a command line.
 */

import type { LaunchAsked } from './types.ts';

/** `path`, or what it is from `folder` on; without `.` and `..`. */
export function absolute(path: string, folder: string): string {
  const parts: string[] = [];
  for (const part of (path.startsWith('/') ? path : `${folder}/${path}`).split('/')) {
    if (part === '..') parts.pop();
    else if (part !== '' && part !== '.') parts.push(part);
  }
  return `/${parts.join('/')}`;
}

export class Names {
  readonly #asked: LaunchAsked;
  readonly #pattern: RegExp | null;
  readonly #to: ReadonlyMap<string, string>;
  readonly #made: string[] = [];

  constructor(asked: LaunchAsked) {
    this.#asked = asked;
    this.#to = new Map(asked.maps);
    // The longest first: a file may be mapped elsewhere than its folder.
    const from = asked.maps.map(([name]) => name).sort((one, other) => other.length - one.length);
    // A whole word, or a path with what lies in it; a port may be followed by a dash (hostfwd=tcp::22-:22).
    const words = from.map((name) => `${escaped(name)}(?=${/^\d+$/.test(name) ? '[,:/-]|$' : '[,:/]|$'})`);
    this.#pattern = words.length === 0 ? null : new RegExp(`(?<=^|[=:,])(?:${words.join('|')})`, 'g');
  }

  map(text: string): string {
    if (this.#pattern === null) return text;
    return text.replace(this.#pattern, (found) => this.#to.get(found) ?? found);
  }

  /** The operator has named it. */
  isMapped(text: string): boolean {
    return this.#asked.maps.some(([, to]) => text === to || text.startsWith(`${to}/`));
  }

  /** Where the twin makes what its source has made at `path`, both as the working folder has it. */
  make(path: string, folder: string): string {
    const isFree = !this.#asked.sameHost || this.isMapped(path);
    const placed = isFree ? path : this.#beside(path);
    this.#made.push(absolute(placed, folder));
    return placed;
  }

  get made(): readonly string[] {
    return this.#made;
  }

  /** `/run/b.qmp` and `serial.sock`: `/run/b.qmp.serial.sock`; a second one of that name gets a number. */
  #beside(path: string): string {
    const name = `${this.#asked.qmpPath}.${path.slice(path.lastIndexOf('/') + 1)}`;
    for (let number = 1; ; number++) {
      const tried = number === 1 ? name : `${name}.${number}`;
      if (!this.#made.includes(tried)) return tried;
    }
  }
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, '\\$&');
}
