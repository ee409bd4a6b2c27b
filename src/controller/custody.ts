/**
 * What makes this migration the only one of its VM, and what outlives its controller: the lock, the journal,
 * the guardian, and the claims in both QEMUs. Migrations and measurements take it alike. Not responsible for
 * what is done while they are held.
 */

import { hostname } from 'node:os';
import path from 'node:path';
import { GodwitError } from '../base/index.ts';
import type { Outcome } from '../handover/index.ts';
import type { Machine } from '../machines/index.ts';
import {
  claimedError,
  claimQemu,
  isAlive,
  processIdentity,
  processNamespace,
  type QmpExecutor,
  queryUuid,
  readClaim,
  releaseClaim,
  sweepPrivateFolders,
} from '../qmp/index.ts';
import {
  announceEnd,
  type Endpoints,
  type Guardian,
  hasEnded,
  isClaimOver,
  Journal,
  type JournalState,
  journalPathOf,
  type Lock,
  listJournals,
  lockPathOf,
  makeFolder,
  pruneJournals,
  startGuardian,
  sweepLeftovers,
  takeLock,
} from '../recovery/index.ts';

export interface CustodyOptions {
  readonly migrationId: string;
  readonly stateDirectory: string;
  readonly endpoints: Endpoints;
  readonly sourceAfter: 'keep' | 'quit';
  readonly guestWasRunning: boolean;
  readonly onEnd: string | null;
  readonly source: QmpExecutor;
  /** null: nothing is at the other end, as in a measurement. */
  readonly destination: QmpExecutor | null;
}

/** What QEMU calls a VM that was given no UUID. */
const NO_UUID = /^[0-]+$/;

export class Custody {
  readonly journal: Journal;
  readonly guardian: Guardian;
  readonly #options: CustodyOptions;
  readonly #lock: Lock;

  private constructor(options: CustodyOptions, journal: Journal, lock: Lock) {
    this.#options = options;
    this.journal = journal;
    this.#lock = lock;
    this.guardian = startGuardian(journal);
  }

  /** Errors: MIGRATION_UNDER_WAY, JOURNAL_OPEN, QEMU_CLAIMED, JOURNAL_WRITE: nothing was changed. */
  static async take(options: CustodyOptions): Promise<Custody> {
    const { migrationId, stateDirectory, endpoints, source, destination } = options;
    const begin = {
      step: 'begin' as const,
      migrationId,
      startedAtMs: Date.now(),
      controller: await processIdentity(process.pid),
      controllerNamespace: await processNamespace(),
      ...endpoints,
      sourceAfter: options.sourceAfter,
      guestWasRunning: options.guestWasRunning,
      vm: await vmOf(source),
      onEnd: options.onEnd,
    };
    await refuseOpenJournals(stateDirectory, begin);
    for (const end of [source, destination]) await refuseClaimed(end);
    const journalPath = journalPathOf(stateDirectory, migrationId);
    makeFolder(path.dirname(journalPath));
    const lock = await takeLock(lockPathOf(journalPath));
    let custody: Custody;
    try {
      custody = new Custody(options, Journal.begin(journalPath, begin), lock);
    } catch (error) {
      lock.release();
      throw error;
    }
    try {
      pruneJournals(stateDirectory, begin.startedAtMs);
      await sweepLeftovers(stateDirectory);
      await custody.#claimBoth();
      return custody;
    } catch (error) {
      const ends = [source, destination].filter((end) => end !== null);
      await custody.end(
        { outcome: 'aborted', text: 'nothing was changed' },
        ends.map((end) => ({ releaseClaim: () => releaseClaim(end, migrationId) })),
      );
      throw error;
    }
  }

  async #claimBoth(): Promise<void> {
    const { migrationId, source, destination } = this.#options;
    const claim = {
      migrationId,
      holder: `${hostname()}, process ${process.pid}`,
      journal: this.journal.path,
    };
    await claimQemu(source, claim);
    if (destination !== null) await claimQemu(destination, claim);
  }

  /**
   * The far QEMU's process, as its host names it. Without this name nobody can be sure later that the process
   * has ended.
   */
  recognise(destinationIdentity: string): void {
    this.journal.write({ step: 'recognised', destinationIdentity });
  }

  /**
   * Writes the end down and lets go. Whether or not that succeeds, the VM is where `outcome` says; returns
   * what failed. The claims in `ends` are removed, unless the outcome is in doubt.
   */
  async end(outcome: Outcome, ends: readonly Pick<Machine, 'releaseClaim'>[]): Promise<string[]> {
    const unwritten = this.journal.tryWrite({ step: 'end', ...outcome });
    if (outcome.outcome !== 'in-doubt') {
      await Promise.all(ends.map((end) => end.releaseClaim().catch(() => undefined)));
    }
    // The guardian is there until it is told: it is told twice rather than never.
    const untold = await announceEnd(this.#options.onEnd, this.#options.migrationId, outcome);
    this.guardian.dismiss();
    // A far side that was killed on this host leaves its own.
    sweepPrivateFolders();
    this.journal.close();
    this.#lock.release();
    return [unwritten, untold].filter((text) => text !== null);
  }
}

async function vmOf(source: QmpExecutor): Promise<string | null> {
  const uuid = await queryUuid(source).catch(() => '');
  return NO_UUID.test(uuid) || uuid === '' ? null : uuid;
}

async function refuseClaimed(end: QmpExecutor | null): Promise<void> {
  const held = end === null ? null : await readClaim(end);
  if (end === null || held === null) return;
  if (!isClaimOver(held)) throw claimedError(held);
  await releaseClaim(end, held.migrationId);
}

/**
 * Refuses where another journal names this QEMU and has no end: whoever resolves it later would act on this
 * migration.
 */
async function refuseOpenJournals(
  stateDirectory: string,
  begin: Pick<JournalState['begin'], 'source' | 'destination' | 'vm'>,
): Promise<void> {
  const own = new Set([begin.source.identity, begin.destination.identity].filter((one) => one !== null));
  for (const { state, migrationId } of listJournals(stateDirectory)) {
    if (state === null || hasEnded(state)) continue;
    const named = [state.begin.source.identity, state.begin.destination.identity];
    const isSameVm = begin.vm !== null && state.begin.vm === begin.vm;
    if (!isSameVm && !named.some((identity) => identity !== null && own.has(identity))) continue;
    const { controller } = state.begin;
    const isUnderWay = state.end === null && controller !== null && (await isAlive(controller));
    throw new GodwitError(
      isUnderWay ? 'MIGRATION_UNDER_WAY' : 'JOURNAL_OPEN',
      `migration ${migrationId} has this VM, and nobody has ended it`,
      {
        safe: 'nothing was changed',
        hint: isUnderWay
          ? `wait for it, or godwit cancel ${migrationId}`
          : `first: godwit resolve ${migrationId}`,
      },
    );
  }
}
