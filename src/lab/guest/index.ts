export { expectedPage, PAGE_BYTES, type PageContent, pageContentOf } from './content.ts';
export { checkDiskLog, type DiskLogCheck, type DiskLogExpectation, diskRecord } from './disk-log.ts';
export {
  checkGuestMemory,
  GUEST_FACTS_ADDRESS,
  type GuestFacts,
  type MemoryCheck,
  type ReadGuestMemory,
  readGuestFacts,
} from './memory-check.ts';
export {
  bodyOf,
  GUEST_BINARY_PATH,
  GUEST_BODIES,
  GUEST_DEFAULTS,
  GUEST_WORKLOADS,
  type GuestBody,
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
