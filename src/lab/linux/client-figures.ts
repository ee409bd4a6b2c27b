/**
 * What clients of a moved guest felt: the longest gap without an answer, errors, latency and throughput
 * before, during and after the move. Pure. Not responsible for the requests (client.ts).
 */

export interface ClientOptions {
  readonly kind: 'http' | 'redis';
  readonly host: string;
  readonly port: number;
  readonly connections: number;
  /** `http`: files `path-0` to `path-(count - 1)`; `redis`: as many keys. */
  readonly path: string;
  readonly count: number;
  /** Of a redis value. */
  readonly valueBytes: number;
  /** Between the beginnings of two requests on a connection; null: back to back. */
  readonly paceMs: number | null;
}

/** Times are the host's wall clock, which the lab's events have too. */
export interface ClientLog {
  /** When an answer was whole, and how long it took. */
  readonly done: readonly (readonly [atMs: number, latencyMs: number])[];
  readonly errors: readonly (readonly [atMs: number, text: string])[];
}

export interface ClientPhase {
  readonly answersPerSecond: number;
  readonly latencyMedianMs: number | null;
  readonly latency99Ms: number | null;
  readonly latencyMaxMs: number | null;
}

export interface ClientFigures {
  /** The longest time in which no client got an answer; null where there were none. */
  readonly gapMs: number | null;
  readonly errors: number;
  readonly firstError: string | null;
  /** Before the move, from its begin to its end, and afterwards; null where nothing is known of it. */
  readonly before: ClientPhase | null;
  readonly during: ClientPhase | null;
  readonly after: ClientPhase | null;
}

/** The move took place from `beginMs` to `endMs`. */
export function clientFigures(log: ClientLog, beginMs: number, endMs: number): ClientFigures {
  const done = log.done.toSorted((one, other) => one[0] - other[0]);
  const first = done[0]?.[0];
  const last = done.at(-1)?.[0];
  const gaps = done.slice(1).map(([atMs], index) => atMs - done[index]![0]);
  const phase = (fromMs: number | undefined, toMs: number | undefined) =>
    fromMs === undefined || toMs === undefined || toMs <= fromMs ? null : phaseOf(done, fromMs, toMs);
  return {
    gapMs: gaps.length === 0 ? null : gaps.reduce((most, gap) => Math.max(most, gap), 0),
    errors: log.errors.length,
    firstError: log.errors[0]?.[1] ?? null,
    before: phase(first, beginMs),
    during: phase(beginMs, endMs),
    after: phase(endMs, last),
  };
}

function phaseOf(done: ClientLog['done'], fromMs: number, toMs: number): ClientPhase {
  const latencies = done
    .filter(([atMs]) => atMs > fromMs && atMs <= toMs)
    .map(([, latencyMs]) => latencyMs)
    .sort((one, other) => one - other);
  const at = (share: number) =>
    latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * share))];
  return {
    answersPerSecond: (latencies.length * 1000) / (toMs - fromMs),
    latencyMedianMs: at(0.5) ?? null,
    latency99Ms: at(0.99) ?? null,
    latencyMaxMs: latencies.at(-1) ?? null,
  };
}
