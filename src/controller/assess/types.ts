/** What a measurement is told, what it tells meanwhile, and what comes of it. Types only. */

import type { ContentCost } from '../../gateway/index.ts';
import type { Recording as Trace } from '../../trace/index.ts';

export interface AssessOptions {
  readonly sourceQmpPath: string;
  /** From `migrate` to `migrate_cancel`, the first pass included. */
  readonly durationMs: number;
  /** Also where QEMU may stop the VM for a moment because it knows no switchover-ack. */
  readonly acceptPause: boolean;
  /** `off`: as if QEMU knew no ack; for tests. */
  readonly ackGate: 'auto' | 'off';
  /** The trace as a file too. */
  readonly recordPath: string | null;
  readonly stateDirectory: string;
}

export interface AssessHooks {
  onProgress(view: AssessView): void;
  onNote(text: string): void;
}

export interface AssessView {
  readonly elapsedMs: number;
  /** QEMU's dirty syncs so far. */
  readonly passes: number;
  readonly traceBytes: number;
}

export interface Assessment {
  /** Its last set is whole: what a cancelled pass left is cut off. */
  readonly trace: Trace;
  readonly cost: ContentCost | null;
  readonly durationMs: number;
  readonly passes: number;
  /** `quiet`, without the ack: it writes too little to be held any longer without being stopped. */
  readonly endedBy: 'duration' | 'trace-full' | 'quiet' | 'pause';
  /** How long QEMU stopped the VM: 0 with the ack. */
  readonly pausedMs: number;
  readonly qemuVersion: string;
  readonly accelerator: 'kvm' | 'tcg';
}
