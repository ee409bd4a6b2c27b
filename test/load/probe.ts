/**
 * Imported into a `godwit` from outside: says once in a while how late its event loop is, on a
 * descriptor of its own.
 */

import { writeSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { isMainThread } from 'node:worker_threads';

const TOLD = 3;
const EVERY_MS = 1000;

// The launcher imports it too, and its child inherits the descriptor: whoever has none is silent.
if (isMainThread) {
  const delay = monitorEventLoopDelay({ resolution: 10 });
  delay.enable();
  setInterval(() => {
    try {
      const { heapUsed, arrayBuffers } = process.memoryUsage();
      const line = { delayMs: delay.percentile(99) / 1e6, heapBytes: heapUsed, bufferBytes: arrayBuffers };
      writeSync(TOLD, `${JSON.stringify(line)}\n`);
    } catch {
      // The reader left.
    }
    delay.reset();
  }, EVERY_MS).unref();
}
