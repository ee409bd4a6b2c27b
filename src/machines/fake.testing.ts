/** A QEMU as a value: what it is, what it does when asked, and everything it was asked. */

import { GodwitError } from '../base/index.ts';
import type { EndedHow } from '../handover/index.ts';
import type { PreviousSettings } from '../qmp/index.ts';
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
  /** The migration whose mark it carries. */
  claim: string | null;
  downtimeLimitMs: number;
  readonly commands: string[];
}

export function fakeQemu(runState: string | null, changes: Partial<FakeQemu> = {}): FakeQemu {
  return {
    runState,
    answers: true,
    onCont: 'runs',
    quits: true,
    migration: 'failed',
    claim: null,
    downtimeLimitMs: 300,
    ran: runState === 'running',
    commands: [],
    ...changes,
  };
}

export class FakeMachine implements Machine {
  readonly qemu: FakeQemu;
  readonly #migrationId: string;

  constructor(qemu: FakeQemu, migrationId = 'm') {
    this.qemu = qemu;
    this.#migrationId = migrationId;
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
    // One that waits for its VM only notes it down.
    if (this.qemu.onCont === 'ignored' || this.qemu.runState === 'inmigrate') return;
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
    if (this.qemu.migration !== 'none') this.qemu.migration = 'cancelled';
  }

  async restoreSettings({ parameters }: PreviousSettings): Promise<void> {
    this.#ask('migrate-set-parameters');
    this.qemu.downtimeLimitMs = Number(parameters['downtime-limit'] ?? this.qemu.downtimeLimitMs);
  }

  async releaseClaim(): Promise<void> {
    this.#ask('object-del');
    if (this.qemu.claim === this.#migrationId) this.qemu.claim = null;
  }

  async close(): Promise<void> {
    // Nothing is open.
  }

  #ask(command: string): void {
    if (this.qemu.runState === null || !this.qemu.answers) throw new Error('no answer');
    this.qemu.commands.push(command);
  }
}
