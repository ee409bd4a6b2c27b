// @ts-check
/**
 * `npm test`: sets this machine up, checks types, style and dead code, runs the tests, and closes with
 * one line of counts.
 *
 *   npm test                     everything
 *   npm test -- --unit           only what boots no VM (needs no QEMU)
 *   npm test -- --live           only what boots VMs (*.live.test.ts), one file at a time
 *   npm test -- strategy qmp     only files whose path contains one of the words
 *   npm test -- --name PATTERN   only tests whose name matches
 */

import { spawn } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { availableParallelism, cpus } from 'node:os';
import { join, relative } from 'node:path';
import { LaunchError, launch, NODE_FLAGS, ROOT, runHere, usableNode } from '../bin/runtime.mjs';
import { splitOptions } from './options.mjs';
import { setUp } from './setup/index.mjs';

/** A test that hangs must not eat the whole run; nothing that boots no VM takes near as long. */
const TIMEOUT_MS = { unit: 120_000, live: 600_000 };
/**
 * The runner waits without end for a file whose tests have all ended while something keeps its process; the
 * whole run takes a fifth of this.
 */
const RUN_TIMEOUT_MS = { unit: 600_000, live: 1_800_000 };

/**
 * @typedef {{ passed: number, failed: number, skipped: number }} Counts
 * @typedef {{ kinds: Array<'unit' | 'live'>, words: string[], name: string | null }} Selection
 */

launch(async () => {
  const { assumeYes, rest } = splitOptions(process.argv.slice(2));
  const selection = parseSelection(rest);
  await setUp({ purpose: selection.kinds.includes('live') ? 'test' : 'unit', assumeYes });
  const begin = Date.now();
  const checksPassed = await runChecks();
  /** @type {Counts} */
  const total = { passed: 0, failed: 0, skipped: 0 };
  let testsPassed = true;
  for (const kind of selection.kinds) {
    const files = findTests(kind, selection.words);
    if (files.length === 0) continue;
    process.stdout.write(
      `\n${kind === 'unit' ? 'Tests' : 'Tests that boot VMs, one file at a time'}: ${files.length} files\n`,
    );
    const { code, counts } = await runTests(kind, files, selection.name);
    testsPassed &&= code === 0;
    total.passed += counts.passed;
    total.failed += counts.failed;
    total.skipped += counts.skipped;
  }
  return close(total, checksPassed, testsPassed, (Date.now() - begin) / 1000);
});

/** @param {readonly string[]} args @returns {Selection} */
function parseSelection(args) {
  /** @type {Selection} */
  const selection = { kinds: ['unit', 'live'], words: [], name: null };
  for (let index = 0; index < args.length; index++) {
    const arg = args[index] ?? '';
    if (arg === '--unit') selection.kinds = ['unit'];
    else if (arg === '--live') selection.kinds = ['live'];
    else if (arg === '--name') selection.name = args[++index] ?? '';
    else if (arg.startsWith('-')) {
      throw new LaunchError(
        `unknown option ${arg}`,
        'nothing was run',
        'use --unit, --live, --name PATTERN, --yes, or words of file paths',
      );
    } else selection.words.push(arg);
  }
  return selection;
}

/** Types, style and dead code, side by side; their output is shown only where they object. */
async function runChecks() {
  const modules = join(ROOT, 'node_modules');
  const node = usableNode() ?? process.execPath;
  const knip = join(modules, 'knip', 'bin', 'knip.js');
  const results = await Promise.all([
    runQuietly('types', [join(modules, '.bin', 'tsc'), '--noEmit']),
    runQuietly('style and imports', [join(modules, '.bin', 'biome'), 'check', '.']),
    runQuietly('dead code', [node, knip]),
    runQuietly('dead in the product', [node, knip, '--production', '--include=files']),
  ]);
  for (const { what, code, output } of results) {
    process.stdout.write(code === 0 ? `${what}: ok\n` : `${output}\n${what}: FAILED\n`);
  }
  return results.every((result) => result.code === 0);
}

/**
 * @param {string} what
 * @param {[string, ...string[]]} command a program and its arguments
 * @returns {Promise<{ what: string, code: number, output: string }>}
 */
function runQuietly(what, [program, ...args]) {
  return new Promise((resolve) => {
    const child = spawn(program, args, {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let output = '';
    child.stdout.on('data', (chunk) => {
      output += chunk;
    });
    child.stderr.on('data', (chunk) => {
      output += chunk;
    });
    child.on('error', (error) => resolve({ what, code: 1, output: error.message }));
    child.on('close', (code) => resolve({ what, code: code ?? 1, output }));
  });
}

/** @param {'unit' | 'live'} kind @param {readonly string[]} words @returns {string[]} */
function findTests(kind, words) {
  const found = ['src', 'test'].flatMap((folder) => testsUnder(join(ROOT, folder)));
  return found
    .filter((path) => path.endsWith('.live.test.ts') === (kind === 'live'))
    .map((path) => relative(ROOT, path))
    .filter((path) => words.length === 0 || words.some((word) => path.includes(word)))
    .sort();
}

/** @param {string} folder @returns {string[]} */
function testsUnder(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return testsUnder(path);
    return entry.name.endsWith('.test.ts') ? [path] : [];
  });
}

/**
 * @param {'unit' | 'live'} kind
 * @param {readonly string[]} files
 * @param {string | null} name
 * @returns {Promise<{ code: number, counts: Counts }>}
 */
async function runTests(kind, files, name) {
  const folder = join(ROOT, '.work', 'test');
  mkdirSync(folder, { recursive: true });
  const countsPath = join(folder, `counts-${process.pid}-${kind}.json`);
  const cores = typeof availableParallelism === 'function' ? availableParallelism() : cpus().length;
  const code = await runHere(
    usableNode() ?? process.execPath,
    [
      ...NODE_FLAGS,
      '--test',
      `--test-concurrency=${kind === 'live' ? 1 : cores}`,
      `--test-timeout=${TIMEOUT_MS[kind]}`,
      '--test-reporter=spec',
      '--test-reporter-destination=stdout',
      `--test-reporter=${join(ROOT, 'scripts', 'counts-reporter.mjs')}`,
      `--test-reporter-destination=${countsPath}`,
      ...(name === null ? [] : [`--test-name-pattern=${name}`]),
      ...files,
    ],
    // The runner then names what it was running.
    { cwd: ROOT, timeout: RUN_TIMEOUT_MS[kind] },
  );
  const counts = readCounts(countsPath);
  rmSync(countsPath, { force: true });
  // A runner that died before its summary has failed, whatever it counted.
  return counts === null
    ? { code: code === 0 ? 1 : code, counts: { passed: 0, failed: 1, skipped: 0 } }
    : { code, counts };
}

/** @param {string} path @returns {Counts | null} */
function readCounts(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}

/**
 * @param {Counts} total
 * @param {boolean} checksPassed
 * @param {boolean} testsPassed
 * @param {number} seconds
 */
function close(total, checksPassed, testsPassed, seconds) {
  const none = total.passed + total.failed === 0;
  if (none) process.stdout.write('no test ran\n');
  if (!checksPassed) process.stdout.write('types, style or dead code FAILED, see above\n');
  process.stdout.write(`\nin ${seconds.toFixed(0)} s\n`);
  process.stdout.write(`${total.passed} passed, ${total.failed} failed, ${total.skipped} skipped\n`);
  return checksPassed && testsPassed && !none && total.failed === 0 ? 0 : 1;
}
