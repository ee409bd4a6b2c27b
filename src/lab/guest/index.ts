export { expectedPage, type PageContent, pageContentOf } from './content.ts';
export { checkDiskLog, type DiskLogCheck, diskRecord } from './disk-log.ts';
export { checkGuestMemory } from './memory-check.ts';
export {
  GUEST_BINARY_PATH,
  GUEST_BODIES,
  GUEST_DEFAULTS,
  GUEST_WORKLOADS,
  type GuestOptions,
  type GuestWorkload,
  guestCommandLine,
} from './options.ts';
export {
  GUEST_LINE_MAX,
  type GuestHeartbeat,
  type GuestLine,
  GuestLineParser,
  type GuestReady,
  type GuestVerification,
  isSound,
  parseGuestLine,
} from './parse.ts';
