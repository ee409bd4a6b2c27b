/**
 * src/controller, but its `migrate` tells each step on file descriptor 3 and stands still at the one
 * that FAULT_STEP names (its whole event loop, in a blocking read of file descriptor 4) until the rig
 * has struck. See stand-still.ts.
 */

import { readSync, writeSync } from 'node:fs';
import * as controller from '../../src/controller/index.ts';

export * from '../../src/controller/index.ts';

const TOLD = 3;
const GO_ON = 4;
const step = process.env['FAULT_STEP'] ?? '';
const afterMs = Number(process.env['FAULT_AFTER_MS'] ?? 0);
let struck = false;

export const migrate: typeof controller.migrate = (options, hooks, signal) => {
  const onStep = (name: controller.MigrateStep) => {
    hooks.onStep?.(name);
    writeSync(TOLD, `step ${name}\n`);
    if (struck || name !== step) return;
    struck = true;
    if (afterMs > 0) setTimeout(standStill, afterMs);
    else standStill();
  };
  const watched = new Proxy(hooks, {
    get(target, name) {
      const value: unknown = name === 'onStep' ? onStep : Reflect.get(target, name);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
  return controller.migrate(options, watched, signal);
};

function standStill(): void {
  writeSync(TOLD, 'here\n');
  readSync(GO_ON, new Uint8Array(1));
}
