/** A QEMU as a value: what it is, what it does when asked, and everything it was asked. */

import { GodwitError } from '../base/index.ts';
import type { EndedHow } from '../handover/index.ts';
import type { Machine, MachineStatus } from './types.ts';

export interface FakeQemu {
  /** null: the process has ended. */
  runState: string | null;
  answers: boolean;
  /** What `cont` does: start it, refuse, or answer ok and change nothing. */
  onCont: 'runs' | 'refused' | 'ignored';
  quits: boolean;
  migration: string;
  /** It was `running` at some moment, so its disks may have changed. */
  ran: boolean;
  readonly commands: string[];
}

export function fakeQemu(runState: string | null, changes: Partial<FakeQemu> = {}): FakeQemu {
  return {
    runState,
    answers: true,
    onCont: 'runs',
    quits: true,
    migration: 'failed',
    ran: runState === 'running',
    commands: [],
    ...changes,
  };
}

export class FakeMachine implements Machine {
  readonly qemu: FakeQemu;

  constructor(qemu: FakeQemu) {
    this.qemu = qemu;
  }

  async status(): Promise<MachineStatus> {
    if (this.qemu.runState === null) return { state: 'gone', why: 'it has ended' };
    return this.qemu.answers
      ? { state: 'answers', runState: this.qemu.runState }
      : { state: 'silent', why: 'no answer' };
  }

  async start(): Promise<void> {
    this.#ask('cont');
    if (this.qemu.onCont === 'refused') throw new GodwitError('QMP_COMMAND', 'Failed to get "write" lock');
    if (this.qemu.onCont === 'ignored') return;
    this.qemu.runState = 'running';
    this.qemu.ran = true;
  }

  async stop(): Promise<void> {
    this.#ask('stop');
    if (this.qemu.runState === 'running') this.qemu.runState = 'paused';
  }

  async end(): Promise<EndedHow> {
    if (this.qemu.runState === null) return 'gone';
    if (!this.qemu.answers) return 'silent';
    this.#ask('quit');
    if (!this.qemu.quits) return 'stays';
    this.qemu.runState = null;
    return 'gone';
  }

  async migrationStatus(): Promise<string> {
    this.#ask('query-migrate');
    return this.qemu.migration;
  }

  async cancelMigration(): Promise<void> {
    this.#ask('migrate_cancel');
    this.qemu.migration = 'cancelled';
  }

  async restoreSettings(): Promise<void> {
    this.#ask('migrate-set-parameters');
  }

  async releaseClaim(): Promise<void> {
    this.#ask('object-del');
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  #ask(command: string): void {
    if (this.qemu.runState === null || !this.qemu.answers) throw new Error('no answer');
    this.qemu.commands.push(command);
  }
}
