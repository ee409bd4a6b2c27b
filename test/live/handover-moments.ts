/** The moments of a migration at which the handover tests strike, and what can be hit there. */

import type { Strike } from './handover-child.ts';
import type { Wire } from './severable.ts';

export interface Moment extends Strike {
  readonly id: string;
  readonly sourceAfter: 'keep' | 'quit';
  /** Connections that do not exist yet, or no more. */
  readonly absent: readonly Wire[];
}

function moment(id: string, absent: readonly Wire[] = [], sourceAfter: 'keep' | 'quit' = 'keep'): Moment {
  const match = /^(.*?)(?:\+(\d+)ms)?$/.exec(id)!;
  return {
    id: sourceAfter === 'quit' ? `${id} (source quits)` : id,
    at: match[1]!,
    afterMs: Number(match[2] ?? 0),
    absent,
    sourceAfter,
  };
}

const STREAMS: readonly Wire[] = ['source-stream', 'destination-stream'];

/** 21 moments, from the first line of the journal to the last check before COMMIT. */
export const BEFORE_COMMIT: readonly Moment[] = [
  moment('begin', STREAMS),
  moment('settings', STREAMS),
  moment('incoming', STREAMS),
  moment('connected', ['source-stream']),
  moment('listening', ['source-stream']),
  moment('migrate'),
  moment('layout'),
  moment('progress-1'),
  moment('progress-6'),
  moment('iteration-0'),
  moment('iteration-0+300ms'),
  moment('iteration-1'),
  moment('decision'),
  moment('stopping'),
  moment('stopped'),
  moment('stop-and-copy'),
  moment('stop-and-copy+5ms'),
  moment('drained'),
  moment('loaded', ['destination-stream']),
  moment('released', STREAMS),
  moment('prepared', ['destination-stream']),
];

/** Ten moments from COMMIT on. */
export const AFTER_COMMIT: readonly Moment[] = [
  moment('commit', STREAMS),
  moment('commit', STREAMS, 'quit'),
  moment('cont-sent', STREAMS),
  moment('cont-sent', STREAMS, 'quit'),
  moment('cont-sent+1ms', STREAMS),
  moment('cont-answered', STREAMS),
  moment('cont-answered+1ms', STREAMS),
  moment('running', STREAMS),
  moment('running', STREAMS, 'quit'),
  moment('end', STREAMS),
];
