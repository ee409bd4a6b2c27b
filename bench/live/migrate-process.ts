/**
 * A migration in a process of its own, so that its memory can be seen from outside: one JSON request as its
 * argument, one JSON answer on standard output. Not responsible for the VMs.
 */

import type { FarOptions, MigrationReport } from '../../src/controller/index.ts';
import { gatewayMigrator, type MigratorRequest } from '../../src/lab/index.ts';

export interface ProcessRequest {
  readonly request: MigratorRequest;
  readonly far: FarOptions;
  readonly gatewayMemoryBytesMax: number;
}

export interface ProcessAnswer {
  readonly outcome: string;
  readonly reason: string | null;
  readonly report: MigrationReport | null;
}

const { request, far, gatewayMemoryBytesMax } = JSON.parse(process.argv[2] ?? '{}') as ProcessRequest;
let report: MigrationReport | null = null;
const migrator = gatewayMigrator({
  gatewayMemoryBytesMax,
  far: () => far,
  onReport: (told) => {
    report = told;
  },
});
const { outcome, reason } = await migrator(request, AbortSignal.timeout(Math.ceil(request.timeLimitMs)));
const answer: ProcessAnswer = { outcome, reason, report };
process.stdout.write(`${JSON.stringify(answer)}\n`);
