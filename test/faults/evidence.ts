/**
 * Looks at everything after a fault, as an operator would: waits for the commands, mends what was broken,
 * resolves what is open, and asks the VMs themselves. Not responsible for the verdict (judge.ts).
 */

import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage, sleep } from '../../src/base/index.ts';
import { compareRam, isSound, type Vm, verifyGuest } from '../../src/lab/index.ts';
import type { Ended } from './command.ts';
import type { Evidence, Resolved } from './judge.ts';
import type { Kind } from './kind.ts';
import { markedProcesses, signal } from './processes.ts';
import type { Scene } from './scene.ts';
import type { End } from './types.ts';
import { answers, type Look, look, runs } from './watch.ts';

const COMMAND_TIMEOUT_MS = 60_000;
const HELPERS_TIMEOUT_MS = 20_000;
const RESOLVE_TIMEOUT_MS = 60_000;
const VERIFY_TIMEOUT_MS = 30_000;
const RUN_TIMEOUT_MS = 2_000;
const POLL_MS = 50;

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
  for (const { pid } of markedProcesses(scene.mark)) signal(pid, 'SIGKILL');
  const resolved = needsOperator(ended, others) ? await resolveAll(scene) : [];
  const last = await settledLook(scene);
  const memory = await memoryOf(scene, last);
  return {
    fault: scene.fault,
    allows: kind.allows ?? {},
    wasPaused: scene.options.paused === true,
    ended,
    mayEndBySignal: scene.mayEndBySignal,
    others,
    killed: scene.killed,
    mustNotRun: scene.mustNotRun,
    first,
    resolved,
    last,
    overlaps: scene.watch.overlaps,
    memory,
    settingsRestored: await restored(scene, last, settingsBefore),
    complaints: scene.complaints,
    left: [...left, ...leftFiles(scene)],
  };
}

function needsOperator(ended: Ended | null, others: readonly { ended: Ended | null }[]): boolean {
  return [{ ended }, ...others].some((one) => one.ended === null || ![0, 1].includes(one.ended.code ?? -1));
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
    const living = markedProcesses(scene.mark);
    if (living.length === 0) return [];
    if (performance.now() > deadlineMs) {
      return living.map(({ pid, argv }) => `process ${pid} lives: ${argv.slice(-6).join(' ').slice(0, 200)}`);
    }
    await sleep(POLL_MS);
  }
}

/** As operations.md has it: the list, then each by its name, then the list again. */
async function resolveAll(scene: Scene): Promise<Resolved[]> {
  const resolved: Resolved[] = [];
  const run = async (of: string, ...args: string[]) => {
    const ended = await within(scene.run('resolve', ...args, '--json'), RESOLVE_TIMEOUT_MS);
    if (ended !== null) resolved.push({ of, ended });
    return ended;
  };
  const list = await run('list');
  const ids = /"migrations":(\[.*\])/.exec(list?.out ?? '')?.[1];
  if (ids === undefined) return resolved;
  for (const { migrationId } of JSON.parse(ids) as { migrationId: string }[])
    await run(migrationId, migrationId);
  await run('list');
  return resolved;
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
