/**
 * Looks at everything after a fault, as an operator would: waits for the commands, mends what was broken,
 * resolves what is open, and asks the VMs themselves. Not responsible for the verdict (judge.ts).
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage, sleep } from '../../src/base/index.ts';
import { compareRam, isSound, type Vm, verifyGuest } from '../../src/lab/index.ts';
import type { Ended } from './command.ts';
import type { Evidence } from './judge.ts';
import type { Kind } from './kind.ts';
import { moveAgain, resolveAll } from './operator.ts';
import { isListener, type MarkedProcess, markedProcesses, signal } from './processes.ts';
import type { Scene } from './scene.ts';
import type { End } from './types.ts';
import { answers, type Look, look, runs } from './watch.ts';

/** No verdict may depend on how fast this machine is: what has not ended by then never will. */
const COMMAND_TIMEOUT_MS = 300_000;
const HELPERS_TIMEOUT_MS = 120_000;
const VERIFY_TIMEOUT_MS = 120_000;
const RUN_TIMEOUT_MS = 2_000;
/** Each look reads the environment of every process there is. */
const POLL_MS = 300;

/** The first look and the settings before anything happened are the caller's. */
export async function gather(kind: Kind, scene: Scene, settingsBefore: string): Promise<Evidence> {
  const ended = await within(scene.command.ended, COMMAND_TIMEOUT_MS);
  if (ended === null) scene.command.kill('SIGKILL');
  const others: { to: End; ended: Ended | null }[] = [];
  for (const other of scene.others) {
    others.push({ to: other.to, ended: await within(other.ended, COMMAND_TIMEOUT_MS) });
  }
  await withoutHelpers(scene);
  const first = await look(scene.vms);
  await scene.recoverFromStrike();
  await kind.afterwards?.(scene);
  for (const other of scene.others.slice(others.length)) {
    others.push({ to: other.to, ended: await within(other.ended, COMMAND_TIMEOUT_MS) });
  }
  const left = await withoutHelpers(scene);
  for (const { pid } of withoutListener(scene)) signal(pid, 'SIGKILL');
  const killed = new Set(scene.killed);
  const resolved = needsOperator(ended, others) ? await resolveAll(scene, within) : [];
  const settled = await settledLook(scene);
  const settingsRestored = await restored(scene, settled, settingsBefore);
  const told = scene.others.length > 0 ? [] : scene.told();
  const again = mayMoveAgain(kind, scene, settled)
    ? { ended: await within(moveAgain(scene), COMMAND_TIMEOUT_MS) }
    : null;
  // Those of the second move.
  if (again !== null) left.push(...(await withoutHelpers(scene)));
  if ((await scene.listener?.ended(HELPERS_TIMEOUT_MS)) === false) left.push('the far side still listens');
  const last = again === null ? settled : await settledLook(scene);
  const memory = await memoryOf(scene, last);
  return {
    fault: scene.fault,
    allows: scene.stoppedThere ? { ...kind.allows, stopped: true } : (kind.allows ?? {}),
    wasPaused: scene.options.paused === true,
    ended,
    mayEndBySignal: scene.mayEndBySignal,
    others,
    killed,
    mustNotRun: scene.mustNotRun,
    first,
    resolved,
    last,
    overlaps: scene.watch.overlaps,
    memory,
    again,
    told,
    settingsRestored,
    complaints: scene.complaints,
    left: [...left, ...leftFiles(scene)],
  };
}

/** The journal has no end, and the report says so. */
const UNWRITTEN = /cannot write the handover journal/;

function needsOperator(ended: Ended | null, others: readonly { ended: Ended | null }[]): boolean {
  return [{ ended }, ...others].some(
    (one) =>
      one.ended === null ||
      ![0, 1].includes(one.ended.code ?? -1) ||
      UNWRITTEN.test(one.ended.out + one.ended.err),
  );
}

const AGAIN_EVERY = 3;

/** It takes as long as the fault itself, so not each time. */
function mayMoveAgain(kind: Kind, scene: Scene, settled: Look): boolean {
  const { options, fault, vms, mustNotRun } = scene;
  if (kind.refuses || options.paused || options.stateDirectory || fault.index % AGAIN_EVERY > 0) return false;
  return (
    !vms.has('other') &&
    !mustNotRun.has('source') &&
    settled.source?.state === 'running' &&
    !runs(settled.destination)
  );
}

async function within<Value>(promise: Promise<Value>, timeoutMs: number): Promise<Value | null> {
  const patience = new AbortController();
  try {
    return await Promise.race([
      promise,
      sleep(timeoutMs, patience.signal).then(
        () => null,
        () => null,
      ),
    ]);
  } finally {
    patience.abort();
  }
}

/** Guardian, far gateway and ssh end by themselves. Returns those that do not. */
async function withoutHelpers(scene: Scene): Promise<string[]> {
  const deadlineMs = performance.now() + HELPERS_TIMEOUT_MS;
  for (;;) {
    const living = withoutListener(scene);
    if (living.length === 0) return [];
    if (performance.now() > deadlineMs) {
      return living.map(({ pid, argv }) => `process ${pid} lives: ${argv.slice(-6).join(' ').slice(0, 200)}`);
    }
    await sleep(POLL_MS);
  }
}

function withoutListener(scene: Scene): MarkedProcess[] {
  return markedProcesses(scene.mark).filter((one) => !isListener(one));
}

/** A guest that was reset boots for a moment; a QEMU that ends takes one. */
async function settledLook(scene: Scene): Promise<Look> {
  const deadlineMs = performance.now() + RUN_TIMEOUT_MS;
  for (;;) {
    const seen = await look(scene.vms);
    const silent = Object.values(seen).some((one) => one.state === 'running' && !one.beats);
    if (!silent || performance.now() > deadlineMs) return seen;
  }
}

/** What is wrong with the memory of the copy that runs, or of a paused one against its source. */
async function memoryOf(scene: Scene, last: Look): Promise<string | null> {
  if (scene.options.paused) return pausedMemory(scene, last);
  const [end] = ([...scene.vms.keys()] as End[]).filter((one) => runs(last[one]));
  if (end === undefined) return null;
  try {
    const verification = await within(verifyGuest(scene.vm(end)), VERIFY_TIMEOUT_MS);
    if (verification === null) return `the guest at the ${end} does not answer`;
    if (isSound(verification)) return null;
    return `${verification.badPages} bad pages and ${verification.badRows} bad counters at the ${end}`;
  } catch (error) {
    return errorMessage(error);
  }
}

/** Neither guest has run since: by the outer oracle every page of both is the same. */
async function pausedMemory(scene: Scene, last: Look): Promise<string | null> {
  const [here, there] = [last.source?.state, last.destination?.state];
  if (here !== 'postmigrate' || there !== 'paused') return null;
  const { differing } = await compareRam(scene.vm('source'), scene.vm('destination'));
  return differing === 0 ? null : `${differing} pages differ between the paused ends`;
}

export async function settingsOf(vm: Vm): Promise<string> {
  const capabilities = await vm.qmp.execute('query-migrate-capabilities');
  const parameters = await vm.qmp.execute('query-migrate-parameters');
  return JSON.stringify([capabilities, parameters]);
}

async function restored(scene: Scene, last: Look, before: string): Promise<boolean | null> {
  const source = scene.vm('source');
  if (!runs(last.source) || scene.mustNotRun.has('source') || !(await answers(source))) return null;
  return (await settingsOf(source)) === before;
}

function leftFiles(scene: Scene): string[] {
  const left = readdirSync(scene.temporary).map((name) => `${name} in the temporary folder`);
  const migrations = join(scene.state, 'migrations');
  if (!existsSync(migrations)) return left;
  const sockets = readdirSync(migrations).filter((id) => existsSync(join(migrations, id, 'control.sock')));
  return [...left, ...sockets.map((id) => `control.sock of ${id.slice(0, 8)}`)];
}
