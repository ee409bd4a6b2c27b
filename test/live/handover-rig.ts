/**
 * One handover test: a pair of VMs, a migration in a process of its own, one fault at one moment, and what is
 * left. Not responsible for which moments and faults (handover-matrix.ts, handover.live.test.ts).
 */

import { spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { errorCode, MIB, sleep } from '../../src/base/index.ts';
import type { MigrationReport } from '../../src/controller/index.ts';
import {
  type Check,
  diskCheck,
  GUEST_BINARY_PATH,
  guestCommandLine,
  heartbeatCheck,
  type LabPair,
  memoryCheck,
  oneRunningCheck,
  openNetwork,
  openPair,
  type PairOptions,
  type Place,
  startVm,
  type Vm,
  type VmOptions,
} from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { type JournalState, journalPathOf, readJournal } from '../../src/recovery/index.ts';
import type { ChildOptions, Strike } from './handover-child.ts';
import { openWires, type Wire, type Wires } from './severable.ts';

/** `reset`: of the guest, by its operator; with -no-reboot QEMU makes a shutdown of it. */
export type Fault = Wire | 'kill' | 'destination-killed' | 'interrupt' | 'reset';

export interface Case {
  readonly strike: Strike | null;
  readonly fault: Fault | null;
  /** `ended`: by the guest itself, so that no VM is to run. */
  readonly expect: Place | 'ended';
  readonly child?: Partial<ChildOptions>;
  readonly pair?: Partial<PairOptions>;
  /** How the destination differs from the source: then it is started anew. */
  readonly destination?: Partial<VmOptions>;
  /** With the pair booted and before the migration; what it returns is called at the end. */
  readonly before?: (pair: LabPair) => Promise<(() => Promise<void>) | undefined>;
}

export interface CaseResult {
  /** The strike came, and what it was to hit was there. */
  readonly struck: boolean;
  readonly outcome: string | null;
  readonly text: string | null;
  readonly failureCode: string | null;
  /** From the fault to the expected VM running; 0: it ran already. null: never. */
  readonly runningAfterMs: number | null;
  /** From the fault to the unwanted destination's end; null: it never ended, or was not to. */
  readonly destinationGoneAfterMs: number | null;
  readonly sourceState: string;
  readonly destinationState: string;
  readonly sourceSettingsRestored: boolean | null;
  readonly report: MigrationReport | null;
  /** It refused before it touched anything. */
  readonly refused: { readonly refused: string; readonly message: string } | null;
  /** Empty: all is well. */
  readonly complaints: readonly string[];
  readonly checks: Readonly<Record<string, string>>;
}

const SETTLE_TIMEOUT_MS = 30_000;
const RESET_TIMEOUT_MS = 3_000;
const PAIR: Omit<PairOptions, 'network'> = {
  memoryBytes: 64 * MIB,
  guest: { workload: 'uniform', hotBytes: 8 * MIB, rateBytesPerSecond: 20 * MIB, seed: 11 },
  disk: 'plain',
  cores: null,
};

export async function runCase(one: Case): Promise<CaseResult> {
  const network = await openNetwork({ linkBytesPerSecond: 1e9, kind: 'relay' });
  const stateDirectory = mkdtempSync(join(tmpdir(), 'godwit-state-'));
  let pair: LabPair | null = null;
  let wires: Wires | null = null;
  let other: Vm | null = null;
  let after: (() => Promise<void>) | undefined;
  try {
    pair = await openPair({ ...PAIR, ...one.pair, network });
    after = await one.before?.(pair);
    if (one.destination) other = await startOther(pair, one.destination);
    const ends = other ? { ...pair, destination: other } : pair;
    wires = await openWires(pair.folder, ends.source.controlPath, ends.destination.controlPath);
    return await strikeAndLook(one, ends, wires, stateDirectory);
  } finally {
    wires?.close();
    await after?.();
    await other?.close();
    await pair?.close();
    await network.close();
    rmSync(stateDirectory, { recursive: true, force: true });
  }
}

/** A destination like the pair's, but for `changes`. */
async function startOther(pair: LabPair, changes: Partial<VmOptions>): Promise<Vm> {
  await pair.destination.close();
  return startVm({
    name: 'other',
    folder: pair.folder,
    memoryBytes: pair.memoryBytes,
    kernel: GUEST_BINARY_PATH,
    commandLine: guestCommandLine(pair.guest),
    disk: pair.image === null ? null : { image: pair.image, iothread: false },
    incoming: true,
    ...changes,
  });
}

async function strikeAndLook(
  one: Case,
  pair: LabPair,
  wires: Wires,
  stateDirectory: string,
): Promise<CaseResult> {
  const runs = watchRuns(pair);
  const settingsBefore = await settingsOf(pair.source);
  using child = startChild({
    strike: one.strike,
    sourceQmpPath: wires.sourceQmpPath,
    destinationQmpPath: wires.destinationQmpPath,
    stateDirectory,
    sourceAfter: 'keep',
    ackGate: 'auto',
    downtimeMsMax: 300,
    force: [],
    ...one.child,
  });
  const reached = await child.reached;
  const struckAtMs = performance.now();
  const hit = reached && (await strike(one.fault, child, wires, pair));
  const end = one.expect === 'moved' ? pair.destination : pair.source;
  child.goOn();
  const runningAfterMs = one.expect === 'ended' ? null : await untilRunning(end, struckAtMs);
  const { report, refused } = await child.ended;
  const journal = refused ? null : await untilEnded(stateDirectory);
  const staysThere = one.expect === 'moved' || refused !== null || report?.success === true;
  const destinationGoneAfterMs = staysThere ? null : await untilGone(pair.destination, struckAtMs);
  const settingsAfter = one.expect === 'stayed' ? await settingsOf(pair.source) : null;
  const checks: Record<string, string> = {};
  const complaints = [...(one.fault !== null && !hit ? ['the fault hit nothing'] : []), ...runs.overlaps()];
  if (one.expect === 'ended') {
    if ((await stateOf(pair.source)) === 'running') complaints.push('the source runs');
  } else if (runningAfterMs === null) complaints.push(`the VM does not run at its ${one.expect} end`);
  else await look(pair, one.expect, checks, complaints);
  if (!staysThere && destinationGoneAfterMs === null) complaints.push('the destination process lives');
  const sourceSettingsRestored = settingsAfter === null ? null : settingsAfter === settingsBefore;
  if (sourceSettingsRestored === false) complaints.push('settings of the source were not put back');
  return {
    struck: hit,
    outcome: journal?.end?.outcome ?? null,
    text: journal?.end?.text ?? null,
    failureCode: report?.failure?.code ?? null,
    runningAfterMs,
    destinationGoneAfterMs,
    sourceState: await stateOf(pair.source),
    destinationState: await stateOf(pair.destination),
    sourceSettingsRestored,
    report,
    refused,
    complaints,
    checks,
  };
}

async function strike(fault: Fault | null, child: Child, wires: Wires, pair: LabPair): Promise<boolean> {
  switch (fault) {
    case null:
      return true;
    case 'kill':
      return child.kill();
    case 'interrupt':
      return child.interrupt();
    case 'destination-killed':
      return pair.destination.process.child.kill('SIGKILL');
    case 'reset':
      return reset(pair.source);
    default:
      return wires.cut(fault);
  }
}

/**
 * False where QEMU hears of it only after the gateway, which stands still, goes on: then
 * the moment has passed.
 */
async function reset(source: Vm): Promise<boolean> {
  try {
    await source.qmp.execute('system_reset', {}, { timeoutMs: RESET_TIMEOUT_MS });
    return true;
  } catch (error) {
    if (errorCode(error) === 'QMP_TIMEOUT') return false;
    throw error;
  }
}

/** Disposed of however its case ends: one that still stands still would keep the tests' process for ever. */
interface Child extends Disposable {
  /** true at the moment of the strike; false if it ended before that, or none was asked for. */
  readonly reached: Promise<boolean>;
  readonly ended: Promise<Pick<CaseResult, 'report' | 'refused'>>;
  goOn(): void;
  kill(): boolean;
  interrupt(): boolean;
}

function startChild(options: ChildOptions): Child {
  const path = fileURLToPath(new URL('handover-child.ts', import.meta.url));
  const child = spawn(process.execPath, ['--no-warnings', path, JSON.stringify(options)], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  child.stdin.on('error', () => undefined);
  const reached = Promise.withResolvers<boolean>();
  if (options.strike === null) reached.resolve(false);
  let text = '';
  child.stdout.on('data', (chunk) => {
    text += String(chunk);
    if (text.includes('here\n')) reached.resolve(true);
  });
  const ended = new Promise<Pick<CaseResult, 'report' | 'refused'>>((resolve) => {
    child.once('close', () => {
      reached.resolve(false);
      const last = text.trim().split('\n').at(-1) ?? '';
      const report = last.startsWith('{"schema"') ? (JSON.parse(last) as MigrationReport) : null;
      resolve({ report, refused: last.startsWith('{"refused"') ? JSON.parse(last) : null });
    });
  });
  return {
    reached: reached.promise,
    ended,
    goOn: () => child.stdin.write('x'),
    kill: () => child.kill('SIGKILL'),
    interrupt: () => child.kill('SIGINT'),
    [Symbol.dispose]: () => void child.kill('SIGKILL'),
  };
}

async function stateOf(vm: Vm): Promise<string> {
  const ending = vm.process.ending();
  if (ending !== null) return `ended (${ending})`;
  return (await queryStatus(vm.qmp).catch(() => ({ status: 'silent' }))).status;
}

async function untilRunning(vm: Vm, fromMs: number): Promise<number | null> {
  let first = true;
  while (performance.now() - fromMs < SETTLE_TIMEOUT_MS) {
    if ((await stateOf(vm)) === 'running') return first ? 0 : performance.now() - fromMs;
    first = false;
    await sleep(2);
  }
  return null;
}

async function untilGone(vm: Vm, fromMs: number): Promise<number | null> {
  const gone = new AbortController();
  const patience = sleep(SETTLE_TIMEOUT_MS, gone.signal).catch(() => undefined);
  const ending = await Promise.race([vm.process.exited, patience]);
  // Its timer would keep the tests' process for half a minute.
  gone.abort();
  return ending === undefined ? null : performance.now() - fromMs;
}

/** The journal's last word: the controller's, or the guardian's after it. */
async function untilEnded(stateDirectory: string): Promise<JournalState | null> {
  for (let waitedMs = 0; waitedMs < SETTLE_TIMEOUT_MS; waitedMs += 10) {
    const journal = readOnlyJournal(stateDirectory);
    if (journal?.end) return journal;
    await sleep(10);
  }
  return readOnlyJournal(stateDirectory);
}

function readOnlyJournal(stateDirectory: string): JournalState | null {
  try {
    const [id] = readdirSync(join(stateDirectory, 'migrations'));
    return id === undefined ? null : readJournal(journalPathOf(stateDirectory, id));
  } catch {
    return null;
  }
}

async function settingsOf(vm: Vm): Promise<string> {
  const capabilities = await vm.qmp.execute('query-migrate-capabilities');
  const parameters = await vm.qmp.execute('query-migrate-parameters');
  return JSON.stringify([capabilities, parameters]);
}

/** When each VM ran, by QEMU's own events and clock. */
function watchRuns(pair: LabPair) {
  const began: Record<'source' | 'destination', number | null> = { source: Date.now(), destination: null };
  const found: string[] = [];
  for (const side of ['source', 'destination'] as const) {
    const other = side === 'source' ? 'destination' : 'source';
    pair[side].qmp.on((event) => {
      if (event.name === 'STOP') began[side] = null;
      if (event.name !== 'RESUME') return;
      began[side] = event.timestampMs;
      if (began[other] !== null) found.push(`the ${side} started while the ${other} ran`);
    });
    void pair[side].process.exited.then(() => {
      began[side] = null;
    });
  }
  return { overlaps: () => found };
}

async function look(
  pair: LabPair,
  place: Place,
  checks: Record<string, string>,
  complaints: string[],
): Promise<void> {
  const limits = {
    timeLimitMs: Number.MAX_SAFE_INTEGER,
    totalMigrationTimeMs: null,
    downtimeMs: null,
    downtimeLimitMs: null,
    downtimePredictedMs: null,
  };
  const run = async <Evidence>(check: Check<Evidence>) => {
    try {
      const evidence = await check.capture({ pair, place, limits });
      checks[check.id] = check.dump(evidence);
      complaints.push(...check.assert(evidence, place));
    } catch (error) {
      complaints.push(`${check.id}: ${String(error)}`);
    }
  };
  await run(oneRunningCheck);
  await run(heartbeatCheck);
  await run(memoryCheck);
  await run(diskCheck);
}
