export { assert, defined, unreachable } from './assert.ts';
export { Bitmap, popcount32 } from './bitmap.ts';
export { type Clock, sleep, systemClock, VirtualClock } from './clock.ts';
export { errorCode, errorMessage, GodwitError, type GodwitErrorOptions } from './errors.ts';
export { freeMemory } from './memory.ts';
export { Prng } from './prng.ts';
export { median, quantile, smoothed } from './statistics.ts';
export { TokenBucket } from './token-bucket.ts';
export {
  formatBytes,
  formatMs,
  formatPercent,
  formatRate,
  GIB,
  KIB,
  MIB,
  parseDurationMs,
  parseRate,
  parseSize,
} from './units.ts';
export { orAborted, timeoutSignal, within } from './waits.ts';
