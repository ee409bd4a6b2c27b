/**
 * What the owner of a link is handed: of each lane one message at a time, in order; and a
 * barrier once every lane has reached it (docs/format/link.md, 5). Pure. Not responsible for
 * frames' arrival (lane.ts, session.ts).
 *
 * A lane:  ready -> with the owner -> ready
 *          ready -> at a barrier -> ready, when the owner is done with the barrier that lane 0 hands over
 */

import { assert } from '../base/index.ts';
import { linkError } from './errors.ts';
import { FRAME } from './frame.ts';
import type { LinkRole } from './hello.ts';
import type { Lane } from './lane.ts';
import { checkPlace, decodeMessage, type Message } from './message.ts';
import type { PayloadPool } from './payload-pool.ts';

interface Place {
  readonly lane: Lane;
  /** A message is with the owner. */
  busy: boolean;
  atBarrier: boolean;
}

export class Inbox {
  readonly #places: readonly Place[];
  readonly #sender: LinkRole;
  readonly #pool: PayloadPool;
  #barriersPassed = 0;

  /** `sender`: whose messages these are. `pool`: gets the memory of page batches back. */
  constructor(lanes: readonly Lane[], sender: LinkRole, pool: PayloadPool) {
    this.#places = lanes.map((lane) => ({ lane, busy: false, atBarrier: false }));
    this.#sender = sender;
    this.#pool = pool;
  }

  #place(lane: number): Place {
    const place = this.#places[lane];
    assert(place !== undefined, `lane ${lane} exists`);
    return place;
  }

  /** The next message of `lane`; null while one is with the owner or a barrier holds the lane. */
  take(lane: number, nowMs: number): Message | null {
    const place = this.#place(lane);
    while (!place.busy && !place.atBarrier) {
      const frame = place.lane.peek();
      if (frame === null) return null;
      const message = decodeMessage(frame.type, frame.payload, frame.payloadCheck);
      if (message === null) {
        place.lane.consume(nowMs);
        continue;
      }
      checkPlace(message.kind, this.#sender, lane);
      if (message.kind !== 'barrier') {
        place.busy = true;
        return message;
      }
      if (message.id !== this.#barriersPassed + 1) {
        throw linkError('LINK_PROTOCOL', `barrier ${message.id} after ${this.#barriersPassed}`);
      }
      place.atBarrier = true;
    }
    // Lane 0 hands the barrier to the owner once every lane stands at it.
    if (lane !== 0 || place.busy || !this.#places.every(({ atBarrier }) => atBarrier)) return null;
    place.busy = true;
    return { kind: 'barrier', id: this.#barriersPassed + 1 };
  }

  /**
   * The owner is done with the message it took from `lane`. Returns the number of a barrier, which is
   * passed now; else null.
   */
  consumed(lane: number, nowMs: number): number | null {
    const place = this.#place(lane);
    assert(place.busy, 'only a message that was taken is consumed');
    place.busy = false;
    if (!place.atBarrier) {
      const frame = place.lane.consume(nowMs);
      if (frame.type === FRAME.PAGES) this.#pool.give(frame.payload);
      return null;
    }
    this.#barriersPassed++;
    for (const other of this.#places) {
      other.atBarrier = false;
      other.lane.consume(nowMs);
    }
    return this.#barriersPassed;
  }
}
