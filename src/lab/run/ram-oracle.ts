/**
 * The outer oracle within a run: the RAM of both VMs compared page by page while the source has stopped and
 * the destination has not started. Not responsible for the comparison itself (judge/oracle.ts).
 */

import { errorMessage } from '../../base/index.ts';
import { cont } from '../../qmp/index.ts';
import type { CheckResult } from '../judge/checks.ts';
import { compareRam, type RamComparison, ramComparison } from '../judge/oracle.ts';
import type { Pair } from './move.ts';

export interface RamOracle {
  /** Both VMs stand still now, and this waits for nobody. */
  compare(): void;
  /** The same for a destination that was left paused, which runs afterwards. */
  compareAndStart(): Promise<void>;
  verdict(): CheckResult;
}

/** Errors: LAB_VM_FAILED where the two VMs are not alike, or QEMU does not show where their RAM is. */
export async function openRamOracle(pair: Pair): Promise<RamOracle> {
  const compareNow = await ramComparison(pair.source, pair.destination);
  let found: RamComparison | Error | null = null;
  return {
    compare() {
      try {
        found = compareNow();
      } catch (error) {
        found = new Error(errorMessage(error), { cause: error });
      }
    },
    async compareAndStart() {
      found = await compareRam(pair.source, pair.destination);
      await cont(pair.destination.qmp);
    },
    verdict: () => verdictOf(found),
  };
}

function verdictOf(found: RamComparison | Error | null): CheckResult {
  if (found === null) return failed('nobody compared the RAM of both ends');
  if (found instanceof Error) return failed(found.message);
  const { pages, differing, blocks, first } = found;
  const where = first === null ? '' : `, first page ${first.pageIndex} of ${first.block}`;
  return {
    id: 'ram',
    holds: differing === 0,
    complaints: differing === 0 ? [] : [`${differing} pages differ${where}`],
    evidence: `${pages} pages in ${blocks.length} blocks, ${differing} differ`,
  };
}

function failed(complaint: string): CheckResult {
  return { id: 'ram', holds: false, complaints: [complaint], evidence: 'none' };
}
