/**
 * Loaded before `godwit` by `node --import`: the command's own controller is replaced by one that tells its
 * steps and stands still at one of them (watched-controller.ts). So the real command is struck, with its real
 * exit code, and product code knows nothing of it.
 */

import { registerHooks } from 'node:module';

const CONTROLLER = new URL('../../src/controller/index.ts', import.meta.url).href;
const COMMANDS = new URL('../../src/cli/', import.meta.url).href;
const WATCHED = new URL('watched-controller.ts', import.meta.url).href;

registerHooks({
  resolve(specifier, context, nextResolve) {
    const resolved = nextResolve(specifier, context);
    const isOurs = resolved.url === CONTROLLER && context.parentURL?.startsWith(COMMANDS) === true;
    return isOurs ? { ...resolved, url: WATCHED } : resolved;
  },
});
