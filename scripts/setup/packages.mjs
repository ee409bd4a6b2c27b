// @ts-check
/**
 * Which system packages to install and how: apt where this machine has it and lets us, else
 * advice for a person.
 */

import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  addSourcesCommand,
  aptInstalls,
  backportsSuite,
  deriveSources,
  installCommands,
  offersSuite,
  parseOsRelease,
  sourcesPath,
} from './distribution.mjs';
import { atLeast, findProgram, PACKAGES, QEMU_MAJOR_WANTED, QEMU_VERSION_MIN } from './needs.mjs';

/**
 * @typedef {import('./steps.mjs').Step} Step
 * @typedef {import('./needs.mjs').Package} Package
 * @typedef {import('./needs.mjs').Survey} Survey
 */

/**
 * @param {import('./needs.mjs').Purpose} purpose
 * @param {Survey} found
 * @returns {{ steps: Step[], advice: string[] }} steps: empty where nothing is missing or only a person can act
 */
export function planSystemPackages(purpose, found) {
  const needed = PACKAGES.filter((entry) => entry.purposes.includes(purpose));
  const wanted = needed.filter((entry) => found.missing.includes(entry) || isOldQemu(entry, found));
  if (wanted.length === 0) return { steps: [], advice: [] };
  const distribution = parseOsRelease(readText('/etc/os-release'));
  const suite = backportsSuite(distribution);
  const sources = suite === null ? null : missingSources(distribution.codename, suite);
  const addSources = suite === null || sources === null ? null : addSourcesCommand(suite, sources);
  const advice = installCommands(distribution, wanted, addSources);
  // Nothing is missing, and its own suite has nothing newer.
  const hopeless = suite === null && found.missing.length === 0 && !isTooOld(found);
  const privilege = adminPrefix();
  if (distribution.family !== 'debian' || findProgram('apt-get') === null || privilege === null || hopeless) {
    return { steps: [], advice };
  }
  return { steps: aptSteps(suite, sources, wanted, privilege), advice };
}

/** @param {Package} entry @param {Survey} found */
function isOldQemu(entry, found) {
  return (
    entry.program === 'qemu-system-x86_64' &&
    (found.qemuVersion === null || found.qemuVersion[0] < QEMU_MAJOR_WANTED)
  );
}

/** @param {Survey} found */
function isTooOld(found) {
  return found.qemuVersion === null || !atLeast(found.qemuVersion, QEMU_VERSION_MIN);
}

/**
 * What goes before a command that needs root; null where we cannot have it. Without a terminal
 * sudo must not ask.
 * @returns {string[] | null}
 */
function adminPrefix() {
  if (process.getuid?.() === 0) return [];
  if (findProgram('sudo') === null) return null;
  if (process.stdin.isTTY) return ['sudo'];
  return spawnSync('sudo', ['-n', 'true'], { timeout: 10_000 }).status === 0 ? ['sudo', '-n'] : null;
}

/**
 * What to add so that apt knows the suite; null where it does, and where no entry of ours can be derived.
 * @param {string} codename
 * @param {string} suite
 */
function missingSources(codename, suite) {
  const files = readSources();
  return offersSuite(files, suite) ? null : deriveSources(files, codename, suite);
}

/**
 * @param {string | null} suite
 * @param {import('./distribution.mjs').DerivedSources | null} sources
 * @param {readonly Package[]} wanted
 * @param {readonly string[]} privilege
 * @returns {Step[]}
 */
function aptSteps(suite, sources, wanted, privilege) {
  const steps = suite === null || sources === null ? [] : [sourcesStep(suite, sources, privilege)];
  steps.push(aptStep([...privilege, 'apt-get', 'update'], [], true));
  for (const { argv, names } of aptInstalls(suite, wanted)) {
    const items = names.map((name) => /** @type {[string, string]} */ ([name, whyOf(name, wanted)]));
    steps.push(aptStep([...privilege, ...argv], items, false));
  }
  return steps;
}

/** @param {string} name @param {readonly Package[]} wanted */
function whyOf(name, wanted) {
  return wanted
    .filter((entry) => entry.names.debian === name)
    .map((entry) => entry.why)
    .join('; ');
}

/**
 * A file of its own: taking it away again undoes it.
 * @param {string} suite
 * @param {import('./distribution.mjs').DerivedSources} derived
 * @param {readonly string[]} privilege
 * @returns {Step}
 */
function sourcesStep(suite, derived, privilege) {
  const path = sourcesPath(suite, derived);
  return {
    items: [[suite, 'the apt suite that has QEMU 10, from the mirror this machine already uses']],
    manual: `write ${path} (the machine's own entry with the suite ${suite})`,
    command: [...privilege, 'tee', path],
    input: derived.text,
    env: {},
    mayFail: false,
  };
}

/**
 * @param {readonly string[]} command
 * @param {readonly [string, string][]} items
 * @param {boolean} mayFail an unrelated source that does not answer fails `update`; `install` will tell
 * @returns {Step}
 */
function aptStep(command, items, mayFail) {
  const at = command.indexOf('apt-get') + 1;
  return {
    items,
    manual: command.join(' '),
    // Another apt may be at work, as after a machine's first boot.
    command: [...command.slice(0, at), '-q', '-o', 'DPkg::Lock::Timeout=300', ...command.slice(at)],
    input: null,
    env: { DEBIAN_FRONTEND: 'noninteractive' },
    mayFail,
  };
}

function readSources() {
  const folder = '/etc/apt/sources.list.d';
  const paths = ['/etc/apt/sources.list', ...listFolder(folder).map((name) => join(folder, name))];
  return paths
    .filter((path) => path.endsWith('.sources') || path.endsWith('.list'))
    .map((path) => ({ path, text: readText(path) }));
}

/** @param {string} path */
function listFolder(path) {
  try {
    return readdirSync(path).sort();
  } catch {
    return [];
  }
}

/** @param {string} path */
function readText(path) {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return '';
  }
}
