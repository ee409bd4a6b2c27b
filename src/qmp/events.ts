/**
 * The events of one QMP connection, kept in order with a number each, so that a reader who remembers a number
 * misses nothing. Not responsible for the connection. Bounded: a reader who falls too far behind gets
 * QMP_EVENTS_LOST, never silence.
 */

import { eventsLostError, eventTimeoutError, protocolError } from './errors.ts';
import { isObject, type JsonObject } from './lines.ts';

/** At the 8 MIGRATION_PASS events a second of a paced migration this is more than eight minutes. */
export const EVENTS_KEPT_MAX = 4096;
const EVENT_BYTES_KEPT_MAX = 8 * 1024 * 1024;

/** Node fires a longer timer at once. */
const TIMER_MS_MAX = 2 ** 31 - 1;

export interface QmpEvent {
  /** Position in this connection's events, from 0. */
  readonly sequence: number;
  readonly name: string;
  readonly data: JsonObject;
  /**
   * QEMU's wall clock in milliseconds since 1970, microsecond resolution; null when QEMU could not read its
   * clock.
   */
  readonly timestampMs: number | null;
  /** When it arrived here, on the client's monotonic clock. */
  readonly receivedAtMs: number;
}

export type EventMatch = string | ((event: QmpEvent) => boolean);

export interface WaitEventOptions {
  /**
   * Look at events from this mark on (`client.eventMark()`); default: only those that come after the call.
   */
  readonly since?: number;
  /** null waits without end. */
  readonly timeoutMs?: number | null;
  readonly signal?: AbortSignal;
}

/** QEMU documents -1 in both fields when the host clock cannot be read. */
function eventOf(message: JsonObject, sequence: number, receivedAtMs: number): QmpEvent {
  const { event: name, data, timestamp } = message;
  if (typeof name !== 'string') throw protocolError('a QMP event has no name');
  if (data !== undefined && !isObject(data))
    throw protocolError(`the data of event ${name} is not an object`);
  return { sequence, name, data: data ?? {}, timestampMs: timestampMsOf(timestamp), receivedAtMs };
}

function timestampMsOf(timestamp: unknown): number | null {
  if (!isObject(timestamp)) return null;
  const { seconds, microseconds } = timestamp;
  if (typeof seconds !== 'number' || typeof microseconds !== 'number') return null;
  return seconds < 0 || microseconds < 0 ? null : seconds * 1000 + microseconds / 1000;
}

type Waker = () => void;

export class EventLog {
  readonly #kept: { event: QmpEvent; sizeBytes: number }[] = [];
  readonly #wakers = new Set<Waker>();
  #keptBytes = 0;
  #next = 0;
  #end: Error | null = null;

  /** The number that the next event will get. */
  get next(): number {
    return this.#next;
  }

  push(message: JsonObject, receivedAtMs: number, sizeBytes: number): QmpEvent {
    const event = eventOf(message, this.#next, receivedAtMs);
    this.#next++;
    this.#kept.push({ event, sizeBytes });
    this.#keptBytes += sizeBytes;
    while (
      this.#kept.length > EVENTS_KEPT_MAX ||
      (this.#keptBytes > EVENT_BYTES_KEPT_MAX && this.#kept.length > 1)
    ) {
      this.#keptBytes -= this.#kept.shift()?.sizeBytes ?? 0;
    }
    this.#wake();
    return event;
  }

  /** What has come from `mark` on and is still kept. */
  since(mark: number): readonly QmpEvent[] {
    return this.#kept.filter(({ event }) => event.sequence >= mark).map(({ event }) => event);
  }

  /** No event comes after this; readers get what is left, then `reason`. */
  end(reason: Error): void {
    this.#end ??= reason;
    this.#wake();
  }

  /**
   * The first matching event from `options.since` on. Errors: QMP_TIMEOUT, QMP_EVENTS_LOST, why the
   * connection ended, the signal's reason.
   */
  async wait(match: EventMatch, options: WaitEventOptions = {}): Promise<QmpEvent> {
    const timeoutMs = options.timeoutMs ?? null;
    const wanted = typeof match === 'string' ? match : 'matching';
    const matches = typeof match === 'string' ? (event: QmpEvent) => event.name === match : match;
    const timeout = new AbortController();
    const expire = (afterMs: number) => timeout.abort(eventTimeoutError(wanted, afterMs));
    const timer =
      timeoutMs === null ? undefined : setTimeout(expire, Math.min(timeoutMs, TIMER_MS_MAX), timeoutMs);
    const signals = options.signal ? [timeout.signal, options.signal] : [timeout.signal];
    try {
      const reading = { since: options.since ?? this.#next, signal: AbortSignal.any(signals) };
      for await (const event of this.read(reading)) if (matches(event)) return event;
      throw this.#end ?? protocolError('the events ended');
    } finally {
      clearTimeout(timer);
    }
  }

  /** Every event from `since` on (default: from now); ends with the error that ended the connection. */
  read(options: { since?: number; signal?: AbortSignal } = {}): AsyncGenerator<QmpEvent, void, void> {
    // "From now" means from this call, not from the reader's first step.
    return this.#readFrom(options.since ?? this.#next, options.signal);
  }

  async *#readFrom(since: number, signal: AbortSignal | undefined): AsyncGenerator<QmpEvent, void, void> {
    let sequence = since;
    for (;;) {
      signal?.throwIfAborted();
      const firstKept = this.#next - this.#kept.length;
      if (sequence < firstKept) throw eventsLostError(firstKept - sequence);
      const entry = this.#kept[sequence - firstKept];
      if (entry !== undefined) {
        sequence++;
        yield entry.event;
      } else if (this.#end !== null) throw this.#end;
      else await this.#pushed(signal);
    }
  }

  #pushed(signal: AbortSignal | undefined): Promise<void> {
    return new Promise((resolve) => {
      const waker = () => {
        this.#wakers.delete(waker);
        signal?.removeEventListener('abort', waker);
        resolve();
      };
      this.#wakers.add(waker);
      signal?.addEventListener('abort', waker, { once: true });
    });
  }

  #wake(): void {
    for (const waker of [...this.#wakers]) waker();
  }
}
