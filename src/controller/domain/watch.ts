/**
 * What libvirt tells of the domain on the way, in the words that the driver knows from QMP: passes, the stop,
 * the start over there. Not responsible for what follows.
 */

import { systemClock } from '../../base/index.ts';
import { iterationEvent, LIFECYCLE_EVENTS, lifecycleEvent, subscribe } from '../../libvirt/index.ts';
import type { QmpEvent } from '../../qmp/index.ts';
import type { DomainEnds } from './ends.ts';

/**
 * VIR_DOMAIN_EVENT_SUSPENDED_MIGRATED and VIR_DOMAIN_EVENT_RESUMED_MIGRATED: libvirt's own doing in a
 * migration.
 */
const BY_MIGRATION = 1;

export interface DomainWatchEvents {
  /** MIGRATION_PASS and STOP. */
  onSourceEvent(event: QmpEvent): void;
  /** Somebody else stopped, ended or started the domain at the source. */
  onOthers(text: string): void;
}

export class DomainWatch {
  readonly #events: DomainWatchEvents;
  readonly #stopped = Promise.withResolvers<void>();
  readonly #endings: (() => Promise<void>)[] = [];
  #isCommitted = false;
  #touched: string | null = null;
  /** When the source's VM stopped for the switchover; null while it runs. */
  stoppedAtMs: number | null = null;
  /** When it was started over there. */
  startedAtMs: number | null = null;

  constructor(events: DomainWatchEvents) {
    this.#events = events;
  }

  /** Somebody else started the VM over there, before Finish was called; null: not seen. */
  get touched(): string | null {
    return this.#touched;
  }

  /** From now on a start over there is this migration's own. */
  beginCommit(): void {
    this.#isCommitted = true;
  }

  /** Resolves when QEMU has stopped the VM for the switchover. */
  get stopped(): Promise<void> {
    return this.#stopped.promise;
  }

  async begin({ source, destination, domain }: DomainEnds): Promise<void> {
    const subscriptions = [
      await subscribe(source, iterationEvent, domain, ({ iteration }) => {
        this.#events.onSourceEvent(eventOf('MIGRATION_PASS', { pass: iteration }));
      }),
      await subscribe(source, lifecycleEvent, domain, ({ event, detail }) => this.#onSource(event, detail)),
      // Before Prepare the destination does not know the domain: all of them, then ours.
      await subscribe(destination, lifecycleEvent, null, ({ domain: { uuid }, event }) => {
        if (uuid === domain.uuid && LIFECYCLE_EVENTS[event] === 'resumed') {
          this.startedAtMs ??= systemClock.nowMs();
          if (!this.#isCommitted) this.#touched ??= 'another client started the domain at the destination';
        }
      }),
    ];
    this.#endings.push(...subscriptions.map(({ end }) => end));
  }

  async close(): Promise<void> {
    await Promise.all(this.#endings.splice(0).map((end) => end()));
  }

  #onSource(event: number, detail: number): void {
    const word = LIFECYCLE_EVENTS[event] ?? `event ${event}`;
    if (word === 'suspended' && detail === BY_MIGRATION) {
      this.stoppedAtMs ??= systemClock.nowMs();
      this.#stopped.resolve();
      this.#events.onSourceEvent(eventOf('STOP', {}));
    } else if (word === 'suspended' || word === 'shutdown' || word === 'crashed' || word === 'stopped') {
      this.#events.onOthers(
        `the domain was ${word} at the source (detail ${detail}), and not by this migration`,
      );
    }
  }
}

function eventOf(name: string, data: QmpEvent['data']): QmpEvent {
  return { sequence: 0, name, data, timestampMs: null, receivedAtMs: systemClock.nowMs() };
}
