/**
 * What makes this migration the only one of its VM, and what outlives its controller: the lock, the journal,
 * the guardian, and the claims in both QEMUs. Migrations and measurements take it alike. Not responsible for
 * what is done while they are held.
 */

import { hostname } from 'node:os';
import path from 'node:path';
import { GodwitError } from '../base/index.ts';
import type { Outcome } from '../handover/index.ts';
import { type Endpoint, identityOf, type Machine } from '../machines/index.ts';
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
  readonly endpoints: { readonly source: Endpoint; readonly destination: Endpoint };
  readonly sourceAfter: 'keep' | 'quit';
  readonly guestWasRunning: boolean;
  readonly onEnd: string | null;
  /** The VM's UUID; null where it has none. */
  readonly vm: string | null;
  /** QEMUs that get a claim. A domain is claimed by libvirt, which refuses a second migration. */
  readonly claimed: readonly QmpExecutor[];
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
    const { migrationId, stateDirectory, endpoints, claimed } = options;
    const begin = {
      step: 'begin' as const,
      migrationId,
      startedAtMs: Date.now(),
      controller: await processIdentity(process.pid),
      controllerNamespace: await processNamespace(),
      ...endpoints,
      sourceAfter: options.sourceAfter,
      guestWasRunning: options.guestWasRunning,
      vm: options.vm,
      onEnd: options.onEnd,
    };
    await refuseOpenJournals(stateDirectory, begin);
    for (const end of claimed) await refuseClaimed(end);
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
      await custody.end(
        { outcome: 'aborted', text: 'nothing was changed' },
        claimed.map((end) => ({ releaseClaim: () => releaseClaim(end, migrationId) })),
      );
      throw error;
    }
  }

  async #claimBoth(): Promise<void> {
    const { migrationId, claimed } = this.#options;
    const claim = {
      migrationId,
      holder: `${hostname()}, process ${process.pid}`,
      journal: this.journal.path,
    };
    for (const end of claimed) await claimQemu(end, claim);
  }

  /**
   * The far QEMU's process, as its host names it. Without this name nobody can be sure later that the process
   * has ended.
   */
  async recognise(destinationIdentity: string): Promise<void> {
    await this.journal.record({ step: 'recognised', destinationIdentity });
  }

  /**
   * Writes the end down and lets go. Whether or not that succeeds, the VM is where `outcome` says; returns
   * what failed. The claims in `ends` are removed, unless the outcome is in doubt.
   */
  async end(outcome: Outcome, ends: readonly Pick<Machine, 'releaseClaim'>[]): Promise<string[]> {
    const unwritten = await this.journal.tryRecord({ step: 'end', ...outcome });
    if (outcome.outcome !== 'in-doubt') {
      await Promise.all(ends.map((end) => end.releaseClaim().catch(() => undefined)));
    }
    // The guardian is there until it is told: it is told twice rather than never.
    const untold = await announceEnd(this.#options.onEnd, this.#options.migrationId, outcome);
    this.guardian.dismiss();
    // A far side that was killed on this host leaves its own.
    sweepPrivateFolders();
    this.journal.close();
    // A lock whose holder has ended holds nobody.
    if (!this.journal.isHanging) this.#lock.release();
    return [unwritten, untold].filter((text) => text !== null);
  }
}

export async function vmOf(source: QmpExecutor): Promise<string | null> {
  const uuid = await queryUuid(source).catch(() => '');
  return NO_UUID.test(uuid) || uuid === '' ? null : uuid;
}

async function refuseClaimed(end: QmpExecutor): Promise<void> {
  const held = await readClaim(end);
  if (held === null) return;
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
  const own = new Set(
    [identityOf(begin.source), identityOf(begin.destination)].filter((one) => one !== null),
  );
  for (const { state, migrationId } of listJournals(stateDirectory)) {
    if (state === null || hasEnded(state)) continue;
    const named = [identityOf(state.begin.source), identityOf(state.begin.destination)];
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
