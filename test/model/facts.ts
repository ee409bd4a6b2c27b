/** Every fact that the machine may be told, by number, and which of them may answer which effect. */

import type { DestinationSeen, EndedHow, Fact, SourceSeen } from '../../src/handover/index.ts';
import type { EffectName } from './effects.ts';

export const SOURCES: readonly SourceSeen[] = [
  'running',
  'stopped',
  'released',
  'guest-made',
  'gone',
  'silent',
];
export const DESTINATIONS: readonly DestinationSeen[] = [
  'empty',
  'loaded',
  'running',
  'gone',
  'silent',
  'other',
];
const ENDED: readonly EndedHow[] = ['gone', 'silent', 'stays'];
/** Only asked where post-copy was; the model has none. */
const MIGRATIONS = [null, 'completed', 'postcopy-paused'] as const;

export const FACT = {
  begin: 0,
  done: 1,
  failed: 2,
  refused: 3,
  lost: 4,
  guest: 5,
  ended: 6,
  look: 9,
} as const;

export function endedFact(how: EndedHow): number {
  return FACT.ended + ENDED.indexOf(how);
}

export function lookFact(
  source: SourceSeen,
  destination: DestinationSeen,
  touched: boolean,
  migration: (typeof MIGRATIONS)[number] = null,
): number {
  const pair = SOURCES.indexOf(source) * DESTINATIONS.length + DESTINATIONS.indexOf(destination);
  return FACT.look + (pair * 2 + (touched ? 1 : 0)) * MIGRATIONS.length + MIGRATIONS.indexOf(migration);
}
export const FACT_COUNT = FACT.look + SOURCES.length * DESTINATIONS.length * 2 * MIGRATIONS.length;

export function factOf(number: number): Fact {
  const why = 'why';
  if (number >= FACT.look) {
    const look = number - FACT.look;
    const seen = Math.floor(look / MIGRATIONS.length);
    const source = SOURCES[Math.floor(seen / 2 / DESTINATIONS.length)]!;
    const destination = DESTINATIONS[(seen >> 1) % DESTINATIONS.length]!;
    const touched = seen % 2 === 1 ? 'touched' : null;
    const texts = { sourceText: source, destinationText: destination };
    const sourceMigration = MIGRATIONS[look % MIGRATIONS.length]!;
    return { fact: 'done', ends: { source, destination, ...texts, touched, sourceMigration } };
  }
  if (number >= FACT.ended) return { fact: 'done', ended: ENDED[number - FACT.ended]! };
  if (number === FACT.begin) return { fact: 'begin' };
  if (number === FACT.done) return { fact: 'done' };
  if (number === FACT.lost) return { fact: 'lost', why };
  if (number === FACT.guest) return { fact: 'failed', why, guestEnded: 'another client stopped it' };
  return number === FACT.refused ? { fact: 'failed', why, refused: true } : { fact: 'failed', why };
}

const LOOKS = Array.from({ length: FACT_COUNT - FACT.look }, (_, index) => FACT.look + index);

/** `lost` besides, for a controller. */
export function answersTo(effect: EffectName): readonly number[] {
  switch (effect) {
    case 'none':
      return [FACT.begin];
    case 'look':
      return [...LOOKS, FACT.failed];
    case 'end-destination':
      return [...ENDED.map(endedFact), FACT.failed];
    case 'start-destination':
      return [FACT.done, FACT.failed, FACT.refused];
    case 'stop-source':
    case 'drain':
    case 'prove':
      return [FACT.done, FACT.failed, FACT.guest];
    default:
      return [FACT.done, FACT.failed];
  }
}
