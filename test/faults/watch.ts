/**
 * When each VM ran, by QEMU's own events and clock, and by its guest's heartbeat. Not responsible
 * for judging it (judge.ts).
 */

import { sleep } from '../../src/base/index.ts';
import { lastHeartbeat, type Vm } from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import type { End } from './types.ts';

export interface Seen {
  /** QEMU's run state; `gone`: its process has ended; `silent`: it does not answer. */
  readonly state: string;
  /** Its guest beats. */
  readonly beats: boolean;
}

export type Look = Readonly<Partial<Record<End, Seen>>>;

/** The guest beats every 10 ms. */
const BEATS_MS = 150;
const STATUS_TIMEOUT_MS = 5_000;

export function runs(seen: Seen | undefined): boolean {
  return seen !== undefined && seen.state !== 'gone' && (seen.state === 'running' || seen.beats);
}

export async function look(vms: ReadonlyMap<End, Vm>): Promise<Look> {
  const before = [...vms].map(([end, vm]) => [end, counterOf(vm)] as const);
  await sleep(BEATS_MS);
  const found: Partial<Record<End, Seen>> = {};
  for (const [end, counter] of before) {
    const vm = vms.get(end)!;
    found[end] = { state: await stateOf(vm), beats: counterOf(vm) !== counter };
  }
  return found;
}

function counterOf(vm: Vm): number | null {
  return lastHeartbeat(vm.serial.lines)?.counter ?? null;
}

async function stateOf(vm: Vm): Promise<string> {
  if (vm.process.ending() !== null) return 'gone';
  try {
    const reply = (await vm.qmp.execute('query-status', {}, { timeoutMs: STATUS_TIMEOUT_MS })) as {
      status: string;
    };
    return reply.status;
  } catch {
    // A QEMU that ends closes its monitors some time before its process is gone.
    await Promise.race([vm.process.exited, sleep(STATUS_TIMEOUT_MS)]);
    return vm.process.ending() === null ? 'silent' : 'gone';
  }
}

export class RunWatch {
  readonly overlaps: string[] = [];
  readonly #since = new Map<End, number>();
  #stoppedAtMs: number | null = null;
  #downMs = 0;

  /** From the source's start on; `end` is watched until its process ends. */
  add(end: End, vm: Vm, runsAlready: boolean): void {
    if (runsAlready) this.#since.set(end, Date.now());
    vm.qmp.on((event) => {
      if (event.name === 'STOP') this.#stop(end, event.timestampMs);
      if (event.name === 'RESUME') this.#start(end, event.timestampMs);
    });
    void vm.process.exited.then(() => this.#stop(end, Date.now()));
  }

  #stop(end: End, atMs: number | null): void {
    if (!this.#since.delete(end) || this.#since.size > 0) return;
    this.#stoppedAtMs = atMs;
  }

  #start(end: End, atMs: number | null): void {
    for (const other of this.#since.keys()) {
      if (other !== end) this.overlaps.push(`the ${end} started while the ${other} ran`);
    }
    if (this.#stoppedAtMs !== null && atMs !== null) {
      this.#downMs = Math.max(this.#downMs, atMs - this.#stoppedAtMs);
      this.#stoppedAtMs = null;
    }
    this.#since.set(end, atMs ?? Date.now());
  }

  /** The longest time in which no copy ran, of those that ended. */
  get downMs(): number {
    return this.#downMs;
  }
}

/** false: it does not answer. */
export async function answers(vm: Vm): Promise<boolean> {
  return vm.process.ending() === null && (await queryStatus(vm.qmp).catch(() => null)) !== null;
}
