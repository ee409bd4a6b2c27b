/** The moments of a migration that an observer is told of, in order. Handover tests strike at them. */

export const MIGRATE_STEPS = [
  'begin',
  'settings',
  'incoming',
  'connected',
  'listening',
  'migrate',
  'layout',
  'decision',
  'stopping',
  'stopped',
  'stop-and-copy',
  'drained',
  'loaded',
  'released',
  'prepared',
  'commit',
  'cont-sent',
  'cont-answered',
  'running',
  'end',
] as const;

export type MigrateStep = (typeof MIGRATE_STEPS)[number];
