// @ts-check
/**
 * Finds the Node that runs godwit and hands the terminal over to it.
 * Plain JavaScript for any Node from 18 on: it runs before anything is installed.
 * Not responsible for installing that Node: scripts/setup does.
 */

import { spawn } from 'node:child_process';
import { accessSync, closeSync, constants, openSync } from 'node:fs';
import * as modules from 'node:module';
import { constants as osConstants } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const ROOT = dirname(dirname(fileURLToPath(import.meta.url)));

/** Node 24 runs TypeScript as it is and brings zstd and SQLite. */
const NODE_MAJOR_MIN = 24;

/** zstd and SQLite announce themselves as experimental on every start; other warnings stay visible. */
export const NODE_FLAGS = ['--disable-warning=ExperimentalWarning'];

/** @param {string} [version] */
export function nodeMajor(version = process.versions.node) {
  return Number.parseInt(version, 10);
}

/**
 * The pinned Node that `npm ci` brought, or null.
 * @param {string} [root]
 * @returns {string | null}
 */
export function pinnedNode(root = ROOT) {
  const path = join(root, 'node_modules', '.bin', 'node');
  try {
    accessSync(path, constants.X_OK);
    return path;
  } catch {
    return null;
  }
}

/**
 * The Node to run TypeScript with: the pinned one, else this one if it is new enough, else null.
 * @param {string} [root]
 */
export function usableNode(root = ROOT) {
  return pinnedNode(root) ?? (nodeMajor() >= NODE_MAJOR_MIN ? process.execPath : null);
}

/** @param {string} what @param {string} safe @param {string} todo */
function describeFailure(what, safe, todo) {
  return `godwit: ${what}\n  safe:  ${safe}\n  to do: ${todo}\n`;
}

/**
 * Runs a command on this terminal and resolves with its exit code (128 + n after signal n).
 * @param {string} command
 * @param {readonly string[]} args
 * @param {{ env?: NodeJS.ProcessEnv, cwd?: string, timeout?: number }} [options] `timeout`: milliseconds until SIGTERM
 * @returns {Promise<number>}
 */
export function runHere(command, args, options = {}) {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { stdio: 'inherit', ...options });
    const stopForwarding = forwardSignals(child);
    child.on('error', (error) => {
      stopForwarding();
      reject(error);
    });
    child.on('exit', (code, signal) => {
      stopForwarding();
      resolve(code ?? 128 + (signal === null ? 0 : (osConstants.signals[signal] ?? 0)));
    });
  });
}

/**
 * A Ctrl-C on a terminal reaches the whole process group, so the child already has it: passing it on would
 * count as the second, impatient one. Without a terminal only this process was told.
 * @param {import('node:child_process').ChildProcess} child
 */
function forwardSignals(child) {
  const onTerminal = hasTerminal();
  /** @type {NodeJS.Signals[]} */
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const handlers = signals.map((signal) => {
    const handler = () => {
      if (signal === 'SIGINT' && onTerminal) return;
      child.kill(signal);
    };
    process.on(signal, handler);
    return { signal, handler };
  });
  return () => {
    for (const { signal, handler } of handlers) process.off(signal, handler);
  };
}

function hasTerminal() {
  try {
    closeSync(openSync('/dev/tty', 'r'));
    return true;
  } catch {
    return false;
  }
}

/**
 * Runs `godwit <args>`: in this process on Node 24, else in the pinned Node. Resolves with the exit code.
 * @param {readonly string[]} args
 * @returns {Promise<number>}
 */
export async function runGodwit(args) {
  if (nodeMajor() >= NODE_MAJOR_MIN) {
    silenceExperimentalWarnings();
    keepCompiled();
    const { main } = await importMain();
    return main(args);
  }
  const node = pinnedNode();
  if (node === null) throw missingDependencies('the pinned Node 24 is not installed');
  return runHere(node, [...NODE_FLAGS, join(ROOT, 'bin', 'godwit.mjs'), ...args]);
}

/**
 * Node keeps what it made of each module, so that the next start takes half the processor time (measured). It
 * goes on without, where the folder cannot be written.
 */
function keepCompiled() {
  const { GODWIT_CACHE, XDG_CACHE_HOME, HOME } = process.env;
  const folder = XDG_CACHE_HOME ?? (HOME === undefined ? undefined : join(HOME, '.cache'));
  const cache = GODWIT_CACHE ?? (folder === undefined ? undefined : join(folder, 'godwit'));
  if (cache !== undefined) modules.enableCompileCache(join(cache, 'compile'));
}

async function importMain() {
  try {
    return await import('../src/cli/main.ts');
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ERR_MODULE_NOT_FOUND') {
      const name = /Cannot find package '([^']+)'/.exec(error.message)?.[1];
      if (name !== undefined) throw missingDependencies(`the package ${name} is not installed`);
    }
    throw error;
  }
}

/** @param {string} what */
function missingDependencies(what) {
  return new LaunchError(what, 'nothing was started or changed', `run "npm install" in ${ROOT}`);
}

/** A failure before the program proper runs: what happened, what is safe, what to do. */
export class LaunchError extends Error {
  /** @param {string} what @param {string} safe @param {string} todo */
  constructor(what, safe, todo) {
    super(what);
    this.name = 'LaunchError';
    this.safe = safe;
    this.todo = todo;
  }
}

// The flag's twin for a process that was started without it.
function silenceExperimentalWarnings() {
  if (process.execArgv.some((flag) => NODE_FLAGS.includes(flag))) return;
  process.removeAllListeners('warning');
  process.on('warning', (warning) => {
    if (warning.name !== 'ExperimentalWarning')
      process.stderr.write(`(node) ${warning.name}: ${warning.message}\n`);
  });
}

/**
 * Runs a launcher's main function and ends the process with its code: at once, so that a forgotten timer
 * cannot keep a finished command alive.
 * @param {() => Promise<number>} main
 */
export function launch(main) {
  main().then(
    (code) => process.exit(code),
    (error) => {
      process.stderr.write(
        error instanceof LaunchError
          ? describeFailure(error.message, error.safe, error.todo)
          : `${error instanceof Error ? error.stack : String(error)}\n`,
      );
      process.exit(1);
    },
  );
}
