/**
 * The journals that a fault has left, replayed through the handover's machine: each must be one that the
 * parties there are can write. Not responsible for damaged ones, which nobody acts on (judge.ts).
 */

import { GodwitError } from '../../src/base/index.ts';
import { type JournalEntry, listJournals, readEntries } from '../../src/recovery/index.ts';
import { replay } from '../model/replay.ts';
import type { Violation } from './judge.ts';

export function replayJournals(stateFolder: string): Violation[] {
  return listJournals(stateFolder).flatMap(({ path, migrationId }): Violation[] => {
    const entries = wholeOrNull(path);
    const wrong = entries === null ? null : replay(entries);
    return wrong === null ? [] : [{ counter: 'unresolved', text: `journal ${migrationId}: ${wrong}` }];
  });
}

/** null, too, where the first line is torn: its migration never began, and nobody acts on it. */
function wholeOrNull(path: string): readonly JournalEntry[] | null {
  try {
    const entries = readEntries(path);
    return entries.length === 0 ? null : entries;
  } catch (error) {
    if (error instanceof GodwitError) return null;
    throw error;
  }
}
