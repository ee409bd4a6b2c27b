/** What the parts of a rewriting share: the names, the source, and what is said of the result. */

import { absolute, Names } from './names.ts';
import type { LaunchAsked, LaunchNote, LaunchSource } from './types.ts';

export class Context {
  readonly names: Names;
  readonly asked: LaunchAsked;
  readonly source: LaunchSource;
  readonly notes: LaunchNote[] = [];
  /** As the twin has it. */
  readonly workingFolder: string;
  #isQmpMade = false;

  constructor(source: LaunchSource, asked: LaunchAsked) {
    this.names = new Names(asked);
    this.asked = asked;
    this.source = source;
    this.workingFolder = this.names.map(source.workingFolder);
  }

  refuse(text: string): void {
    this.notes.push({ severity: 'refuse', text });
  }

  warn(text: string): void {
    this.notes.push({ severity: 'warn', text });
  }

  info(text: string): void {
    this.notes.push({ severity: 'info', text });
  }

  /** Where the twin makes a socket or a file; the QMP socket that godwit uses is where it was asked. */
  make(path: string): string {
    if (!this.#isQmpMade && this.#isSourceQmp(path)) {
      this.#isQmpMade = true;
      return this.asked.qmpPath;
    }
    return this.names.make(path, this.workingFolder);
  }

  get isQmpMade(): boolean {
    return this.#isQmpMade;
  }

  #isSourceQmp(path: string): boolean {
    return absolute(path, this.workingFolder) === absolute(this.names.map(this.source.qmpPath), '/');
  }

  /** A port of this host that the source has. `what`: as the command line says it. */
  takePort(port: string, what: string): void {
    if (!this.asked.sameHost || this.names.isMapped(port)) return;
    this.refuse(`${what}: the source has that port of this host: --map ${port}=ANOTHER`);
  }
}
