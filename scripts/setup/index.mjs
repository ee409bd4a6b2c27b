// @ts-check
/**
 * Makes this machine ready for a command: npm packages (with the pinned Node), QEMU and the network tools.
 * Shows what it would install and why, asks on a terminal, and does nothing at all where nothing is missing.
 * Not responsible for running the command itself.
 */

import { createInterface } from 'node:readline';
import { LaunchError, ROOT, usableNode } from '../../bin/runtime.mjs';
import { atLeast, QEMU_MAJOR_WANTED, QEMU_VERSION_MIN, survey } from './needs.mjs';
import { planSystemPackages } from './packages.mjs';
import { npmStep, runStep } from './steps.mjs';

/**
 * @typedef {import('./steps.mjs').Step} Step
 * @typedef {import('./needs.mjs').Survey} Survey
 * @typedef {import('./needs.mjs').Purpose} Purpose
 */

const NOTHING_LOST = 'nothing was started; a later run goes on where this one stopped';

/** @param {string} text */
const say = (text) => process.stderr.write(`${text}\n`);

/**
 * @param {{ purpose: Purpose, assumeYes: boolean }} options
 * @returns {Promise<void>}
 */
export async function setUp(options) {
  const before = survey(options.purpose, ROOT);
  const steps = [];
  if (!before.dependenciesReady || !before.nodeReady) steps.push(npmStep(ROOT));
  const system = planSystemPackages(options.purpose, before);
  steps.push(...system.steps);
  if (steps.length === 0) {
    requireUsable(options.purpose, before, system.advice);
    return;
  }
  showPlan(steps);
  if (!(await agreed(options.assumeYes))) {
    if (!before.dependenciesReady || !before.nodeReady) {
      const byHand = ['npm ci --no-audit --no-fund', ...system.advice].join('\n         ');
      throw new LaunchError(
        'not set up: the installation was declined',
        NOTHING_LOST,
        `run it again and answer y, or by hand:\n         ${byHand}`,
      );
    }
    requireUsable(options.purpose, before, system.advice);
    return;
  }
  for (const step of steps) await runStep(step, ROOT, say);
  if (usableNode() === null) {
    throw new LaunchError(
      `the pinned Node does not exist for ${process.platform} on ${process.arch}, and this is Node ${process.versions.node}`,
      NOTHING_LOST,
      'run the command again with Node 24 or newer',
    );
  }
  requireUsable(options.purpose, survey(options.purpose, ROOT), system.advice);
  say('');
}

/** @param {readonly Step[]} steps */
function showPlan(steps) {
  say('This machine still needs:');
  for (const step of steps) {
    for (const [what, why] of step.items) say(`  ${what.padEnd(24)} ${why}`);
  }
  say('Commands:');
  for (const step of steps) say(`  ${step.manual}`);
}

/** @param {boolean} assumeYes */
async function agreed(assumeYes) {
  if (assumeYes || !process.stdin.isTTY || !process.stderr.isTTY || process.env['CI'] === 'true') return true;
  const terminal = createInterface({ input: process.stdin, output: process.stderr });
  const answer = await new Promise((resolve) => {
    terminal.question('Install? [y/N] ', resolve);
    terminal.on('close', () => resolve(''));
  });
  terminal.close();
  return /^y(es)?$/i.test(String(answer).trim());
}

/**
 * Goes on with an older QEMU (saying so), and without the tools that only make a run more real.
 * @param {Purpose} purpose
 * @param {Survey} found
 * @param {readonly string[]} advice commands for a person
 */
function requireUsable(purpose, found, advice) {
  if (purpose === 'unit') return;
  const todo = advice.join('\n         ');
  if (found.qemuVersion === null) {
    throw new LaunchError(
      'QEMU is missing (qemu-system-x86_64 is not on the PATH, or does not answer)',
      NOTHING_LOST,
      todo,
    );
  }
  const version = found.qemuVersion.join('.');
  if (!atLeast(found.qemuVersion, QEMU_VERSION_MIN)) {
    const least = QEMU_VERSION_MIN.join('.');
    throw new LaunchError(
      `QEMU ${version} is too old: godwit needs ${least}, better ${QEMU_MAJOR_WANTED}`,
      NOTHING_LOST,
      todo,
    );
  }
  if (found.qemuVersion[0] < QEMU_MAJOR_WANTED) {
    say(
      `godwit: warning: QEMU ${version} loses dirty pages by itself under TCG (no KVM), with or without godwit: a VM`,
    );
    say(
      `  that does not verify after the move may be QEMU's doing. Use QEMU ${QEMU_MAJOR_WANTED} or newer: ${todo}`,
    );
  }
  const absent = found.missing.map((entry) => entry.program);
  if (absent.length > 0)
    say(`godwit: warning: without ${absent.join(', ')} some of it cannot run or is simulated: ${todo}`);
}
