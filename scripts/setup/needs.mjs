// @ts-check
/**
 * What a machine must have, why, and for which command; and a look at what it has.
 * Not responsible for installing anything.
 */

import { spawnSync } from 'node:child_process';
import { accessSync, constants, readFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { usableNode } from '../../bin/runtime.mjs';

/** Older ones lose dirty pages by themselves under TCG, the accelerator that is always there. */
export const QEMU_MAJOR_WANTED = 10;
/** The oldest whose migration stream and QMP commands godwit is tested with. */
export const QEMU_VERSION_MIN = /** @type {const} */ ([7, 2]);

/**
 * @typedef {'demo' | 'test' | 'unit' | 'bench'} Purpose what the user asked for
 * @typedef {object} Package
 * @property {string} program looked up on the PATH
 * @property {string} why
 * @property {readonly Purpose[]} purposes
 * @property {Readonly<Record<'debian' | 'fedora' | 'arch', string>>} names
 * @property {boolean} [ownSuite] only from the machine's own suite: its user wants that version
 */

/** @type {readonly Package[]} */
export const PACKAGES = [
  {
    program: 'qemu-system-x86_64',
    why: `QEMU ${QEMU_MAJOR_WANTED} or newer: runs the source and the destination VM`,
    purposes: ['demo', 'test', 'bench'],
    names: { debian: 'qemu-system-x86', fedora: 'qemu-system-x86-core', arch: 'qemu-system-x86' },
  },
  {
    program: 'qemu-img',
    why: 'makes the VMs\u2019 shared disk and checks it after the move',
    purposes: ['demo', 'test', 'bench'],
    names: { debian: 'qemu-utils', fedora: 'qemu-img', arch: 'qemu-img' },
  },
  {
    program: 'ip',
    why: 'joins two network namespaces, the two \u201chosts\u201d',
    purposes: ['demo', 'test', 'bench'],
    names: { debian: 'iproute2', fedora: 'iproute', arch: 'iproute2' },
  },
  {
    program: 'tc',
    why: 'shapes the link between them',
    purposes: ['demo', 'test', 'bench'],
    names: { debian: 'iproute2', fedora: 'iproute-tc', arch: 'iproute2' },
  },
  {
    program: 'sshd',
    why: 'migrations over real ssh between those hosts (some systems also start their ssh service with it)',
    purposes: ['test'],
    names: { debian: 'openssh-server', fedora: 'openssh-server', arch: 'openssh' },
    ownSuite: true,
  },
];

/**
 * @typedef {object} Survey
 * @property {boolean} dependenciesReady node_modules is what package-lock.json says
 * @property {boolean} nodeReady a Node that runs TypeScript is there
 * @property {readonly [number, number] | null} qemuVersion null when there is none, or none that answers
 * @property {readonly Package[]} missing programs that are not there
 */

/**
 * @param {Purpose} purpose
 * @param {string} root
 * @returns {Survey}
 */
export function survey(purpose, root) {
  const needed = PACKAGES.filter((entry) => entry.purposes.includes(purpose));
  const qemu = findProgram('qemu-system-x86_64');
  return {
    dependenciesReady: dependenciesReady(root),
    nodeReady: usableNode(root) !== null,
    qemuVersion: qemu === null ? null : qemuVersion(qemu),
    missing: needed.filter((entry) => findProgram(entry.program) === null),
  };
}

/**
 * Administrators' folders are searched too: a user's PATH often lacks them, and `tc` lives there.
 * @param {string} program
 * @returns {string | null}
 */
export function findProgram(program) {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/sbin'];
  for (const folder of folders) {
    if (folder === '') continue;
    try {
      accessSync(join(folder, program), constants.X_OK);
      return join(folder, program);
    } catch {
      // not here
    }
  }
  return null;
}

/** @param {string} path */
function qemuVersion(path) {
  const result = spawnSync(path, ['--version'], { encoding: 'utf8', timeout: 10_000 });
  return parseQemuVersion(result.stdout ?? '');
}

/**
 * @param {string} text what `qemu-system-x86_64 --version` prints
 * @returns {readonly [number, number] | null}
 */
export function parseQemuVersion(text) {
  const match = /version (\d+)\.(\d+)/.exec(text);
  return match === null ? null : [Number(match[1]), Number(match[2])];
}

/** @param {readonly [number, number]} version @param {readonly [number, number]} least */
export function atLeast(version, least) {
  return version[0] > least[0] || (version[0] === least[0] && version[1] >= least[1]);
}

/** @param {string} root */
function dependenciesReady(root) {
  const wanted = readLock(join(root, 'package-lock.json'));
  const installed = readLock(join(root, 'node_modules', '.package-lock.json'));
  return wanted !== null && installed !== null && sameDependencies(wanted, installed);
}

/**
 * Contents, not dates: git sets a file's date at every checkout, and an install that is not needed would pull
 * the packages from under whatever is running.
 * @param {LockFile} wanted
 * @param {LockFile} installed
 */
export function sameDependencies(wanted, installed) {
  for (const [path, entry] of Object.entries(wanted.packages)) {
    if (path === '' || entry.link === true) continue;
    const version = installed.packages[path]?.version;
    if (version === undefined && entry.optional === true) continue; // another platform's
    if (version !== entry.version) return false;
  }
  return true;
}

/**
 * @typedef {{ packages: Record<string, { version?: string, optional?: boolean, link?: boolean }> }} LockFile
 * @param {string} path
 * @returns {LockFile | null}
 */
function readLock(path) {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch {
    return null;
  }
}
