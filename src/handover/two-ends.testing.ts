/**
 * Two QEMUs and a journal as values, for races: what each effect does there at the moment in which it
 * happens, what a third party does, and which promise that breaks. Not responsible for how long an effect
 * takes or whether its answer comes.
 */

import type { Effect, EndedHow, Ends } from './types.ts';

export const OTHERS = ['cont source', 'cont destination', 'kill source', 'kill destination'] as const;
export type Other = (typeof OTHERS)[number];

export class TwoEnds {
  source: 'running' | 'stopped' | 'released' | 'gone' = 'running';
  destination: 'empty' | 'loaded' | 'running' | 'gone' = 'empty';
  readonly lines = new Set<string>();
  readonly violations: string[] = [];
  /** By a command of ours. */
  #destinationRan = false;
  #destinationIsTheirs = false;
  #isOld = false;
  #touched: string | null = null;
  /** Since the last look that saw both ends: nobody can know of it. */
  actedSinceLook = false;

  other(what: Other): void {
    this.actedSinceLook = true;
    const touch = () => {
      this.#touched ??= what;
    };
    if (what === 'kill source') this.source = 'gone';
    else if (what === 'kill destination') this.destination = 'gone';
    else if (what === 'cont source' && (this.source === 'stopped' || this.source === 'released')) {
      this.source = 'running';
      this.#sourceGoesOn();
      touch();
    } else if (what === 'cont destination' && this.destination === 'loaded') {
      this.destination = 'running';
      this.#destinationIsTheirs = true;
      touch();
    }
  }

  look(hidden: 'source' | 'destination' | null): Ends {
    this.actedSinceLook = hidden !== null;
    const source = hidden === 'source' ? 'silent' : this.source;
    const destination = hidden === 'destination' ? 'silent' : this.destination;
    const texts = { sourceText: source, destinationText: destination };
    return { source, destination, ...texts, touched: this.#touched, sourceMigration: null };
  }

  /** Errors: what cannot happen any more. */
  happen(effect: Effect): EndedHow | null {
    if (effect.do === 'end-destination') return this.#endDestination();
    this.#change(effect);
    return null;
  }

  #change(effect: Effect): void {
    switch (effect.do) {
      case 'record':
        this.lines.add(effect.step);
        return;
      case 'stop-source':
        this.#stop();
        return;
      case 'drain':
        need(this.source === 'stopped' && this.destination === 'empty', 'the stream broke');
        return;
      case 'prove':
        need(this.source === 'stopped' && this.destination === 'empty', 'the stream broke');
        this.destination = 'loaded';
        return;
      case 'release-source':
        need(this.source === 'stopped', 'the stream broke');
        this.source = 'released';
        return;
      case 'start-destination':
        this.#start();
        return;
      case 'end-source':
        if (this.source === 'running') this.#breaks('the running source is ended');
        this.source = 'gone';
        return;
      case 'take-back':
        need(this.destination !== 'gone', 'it is gone');
        if (this.destination === 'running') this.destination = 'loaded';
        return;
      case 'continue-source':
        this.#continue();
        return;
      case 'stop-source-again':
        this.#stop();
        return;
      default:
        return;
    }
  }

  #stop(): void {
    need(this.source !== 'gone', 'it is gone');
    if (this.source === 'running') this.source = 'stopped';
  }

  #start(): void {
    need(this.destination !== 'gone', 'it is gone');
    if (!this.lines.has('commit')) this.violations.push('started before COMMIT');
    if (this.destination !== 'loaded') return;
    if (this.#isOld) this.#breaks('an old copy is started');
    if (this.source === 'running') this.#breaks('started beside a source that runs');
    this.destination = 'running';
    this.#destinationRan = true;
  }

  #endDestination(): EndedHow {
    if (this.destination === 'running' && !this.#destinationIsTheirs)
      this.#breaks('the running copy is ended');
    if (this.destination === 'loaded' && this.source === 'gone') this.#breaks('the last copy is ended');
    this.destination = 'gone';
    return 'gone';
  }

  #continue(): void {
    need(this.source !== 'gone', 'it is gone');
    if (this.#destinationRan) this.violations.push('continued after the destination ran');
    if (this.destination === 'running') this.#breaks('continued beside a destination that runs');
    if (!this.lines.has('stop')) this.violations.push('continued what was never stopped');
    this.source = 'running';
    this.#sourceGoesOn();
  }

  #sourceGoesOn(): void {
    this.#isOld ||= this.destination === 'loaded';
  }

  #breaks(promise: string): void {
    if (!this.actedSinceLook) this.violations.push(promise);
  }
}

function need(holds: boolean, why: string): void {
  if (!holds) throw new Error(why);
}
