/**
 * A domain's state and its reason in libvirt's words, as `virsh domstate --reason` shows them
 * (libvirt-domain.h).
 */

const STATES = ['no state', 'running', 'idle', 'paused', 'in shutdown', 'shut off', 'crashed', 'pmsuspended'];

const REASONS: Readonly<Record<string, readonly string[]>> = {
  running: [
    'unknown',
    'booted',
    'migrated',
    'restored',
    'from snapshot',
    'unpaused',
    'migration canceled',
    'save canceled',
    'event wakeup',
    'crashed',
    'post-copy',
    'post-copy failed',
  ],
  paused: [
    'unknown',
    'user',
    'migrating',
    'saving',
    'dumping',
    'I/O error',
    'watchdog',
    'from snapshot',
    'shutting down',
    'creating snapshot',
    'crashed',
    'starting up',
    'post-copy',
    'post-copy failed',
    'api error',
  ],
  'shut off': [
    'unknown',
    'shutdown',
    'destroyed',
    'crashed',
    'migrated',
    'saved',
    'failed',
    'from snapshot',
    'daemon',
  ],
};

export interface DomainState {
  readonly state: string;
  readonly reason: string;
}

/** A number that a newer libvirt has given stays a number. */
export function domainState({
  state,
  reason,
}: {
  readonly state: number;
  readonly reason: number;
}): DomainState {
  const word = STATES[state] ?? `state ${state}`;
  return { state: word, reason: REASONS[word]?.[reason] ?? (reason === 0 ? 'unknown' : `reason ${reason}`) };
}
