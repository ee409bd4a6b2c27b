// @ts-check
/**
 * One installation step: a command whose output goes to a log, of which a failure shows the end.
 */

import { spawn } from 'node:child_process';
import { createWriteStream, mkdirSync, readFileSync } from 'node:fs';
import { delimiter, join, sep } from 'node:path';
import { LaunchError } from '../../bin/runtime.mjs';
import { findProgram } from './needs.mjs';

/**
 * @typedef {object} Step
 * @property {readonly [string, string][]} items what it installs, and why
 * @property {string} manual the command as a person would type it
 * @property {readonly string[]} command
 * @property {string | null} input text for its standard input
 * @property {NodeJS.ProcessEnv} env added to ours
 * @property {boolean} mayFail a later step decides
 */

const LOG_LINES_SHOWN = 12;

/**
 * @param {string} root
 * @returns {Step}
 */
export function npmStep(root) {
  if (findProgram('npm') === null) {
    throw new LaunchError(
      'npm is not on the PATH',
      'nothing was installed',
      'install npm beside Node (Debian: apt-get install npm)',
    );
  }
  const manual = 'npm ci --no-audit --no-fund';
  return {
    items: [['npm packages', 'libraries, the type checker, and the pinned Node 24 (into node_modules)']],
    manual,
    command: manual.split(' '),
    input: null,
    env: { PATH: pathWithoutPackages(root) },
    mayFail: false,
  };
}

/**
 * npm is itself a Node program, and under `npm start` the first `node` on the PATH is the one in
 * node_modules, which `npm ci` deletes.
 * @param {string} root
 */
function pathWithoutPackages(root) {
  const inside = join(root, 'node_modules') + sep;
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .filter((folder) => !folder.startsWith(inside))
    .join(delimiter);
}

/**
 * @param {Step} step
 * @param {string} root
 * @param {(text: string) => void} say
 * @returns {Promise<void>}
 */
export async function runStep(step, root, say) {
  const logPath = logFile(root, step);
  const begin = process.hrtime.bigint();
  say(`> ${step.manual}`);
  const code = await runLogged(step, root, logPath);
  const seconds = Number((process.hrtime.bigint() - begin) / 100_000_000n) / 10;
  if (code === 0) {
    say(`  done in ${seconds.toFixed(1)} s`);
    return;
  }
  for (const line of excerpt(readFileSync(logPath, 'utf8').trimEnd().split('\n'))) say(`  | ${line}`);
  if (step.mayFail) {
    say(`  failed (${code}); going on, the next step will tell`);
    return;
  }
  throw new LaunchError(
    `"${step.manual}" failed (${code}) after ${seconds.toFixed(1)} s`,
    'no virtual machine was started; what was installed before stays',
    `read ${logPath}, mend the cause, and run the same command again`,
  );
}

/**
 * npm says first what went wrong, apt last.
 * @param {readonly string[]} lines
 */
function excerpt(lines) {
  if (lines.length <= 2 * LOG_LINES_SHOWN) return lines;
  return [...lines.slice(0, LOG_LINES_SHOWN), '\u2026', ...lines.slice(-LOG_LINES_SHOWN)];
}

/** @param {string} root @param {Step} step */
function logFile(root, step) {
  const folder = join(root, '.work', 'setup');
  mkdirSync(folder, { recursive: true });
  return join(
    folder,
    `${step.manual
      .split(/\s+/)
      .slice(0, 3)
      .join('-')
      .replace(/[^\w.-]+/g, '_')}.log`,
  );
}

/**
 * @param {Step} step
 * @param {string} root
 * @param {string} logPath
 * @returns {Promise<number | string>} its exit code, or what killed it or kept it from starting
 */
function runLogged(step, root, logPath) {
  const [program, ...args] = step.command;
  if (program === undefined) throw new Error(`the step "${step.manual}" has no command`);
  const log = createWriteStream(logPath);
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: root,
      env: { ...process.env, ...step.env },
      stdio: ['pipe', 'pipe', 'pipe'],
    });
    /** @param {number | string} outcome */
    const finish = (outcome) => log.end(() => resolve(outcome));
    child.stdout.pipe(log, { end: false });
    child.stderr.pipe(log, { end: false });
    child.stdin.on('error', () => {}); // it may end without having read
    child.stdin.end(step.input ?? '');
    child.on('error', (error) => finish(error.message));
    child.on('close', (code, signal) => finish(code ?? signal ?? 'unknown'));
  });
}
