/**
 * What must hold after a run of a Linux guest: as for the bare guest, with the files of its image in place of
 * pages whose content follows from a seed. Not responsible for comparing the RAM of both ends (oracle.ts).
 */

import { type LinuxPair, verifyFiles } from '../linux/pair.ts';
import type { FilesVerification } from '../linux/parse.ts';
import {
  type Check,
  type CheckResult,
  CheckSeries,
  heartbeatCheck,
  limitsCheck,
  oneRunningCheck,
  runningEnd,
  type Scene,
} from './checks.ts';
import type { HeartbeatContinuity } from './heartbeats.ts';

export interface FilesEvidence extends FilesVerification {
  readonly complaints: readonly string[];
}

export const filesCheck: Check<FilesEvidence> = {
  id: 'files',
  when: ['moved', 'stayed'],
  capture: (scene) => verifyFiles(runningEnd(scene)),
  assert: ({ files, badFiles, programAlive, complaints, complaintCount }) => [
    ...(files === 0 ? ['no file was read'] : []),
    ...(badFiles > 0 ? [`${badFiles} files are not what they were`] : []),
    ...(programAlive ? [] : ["the guest's program has ended"]),
    ...complaints,
    ...(complaintCount > complaints.length ? [`${complaintCount} complaints in all`] : []),
  ],
  dump: ({ files, pages, badFiles }) => `${files} files of ${pages} pages, ${badFiles} bad`,
};

export interface LinuxChecked {
  readonly results: readonly CheckResult[];
  readonly holds: boolean;
  readonly heartbeats: HeartbeatContinuity | null;
  readonly verification: FilesEvidence | null;
}

export async function runLinuxChecks(scene: Scene<LinuxPair>): Promise<LinuxChecked> {
  const series = new CheckSeries(scene);
  await series.run(oneRunningCheck);
  const heartbeats = await series.run(heartbeatCheck);
  const verification = await series.run(filesCheck);
  await series.run(limitsCheck);
  return { results: series.results, holds: series.holds, heartbeats, verification };
}
