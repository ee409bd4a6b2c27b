/**
 * Opens both QMP sockets for one use, and the check that uses nothing else. Not responsible for what
 * is done with them.
 */

import { GodwitError } from '../../base/index.ts';
import { COMMAND_TIMEOUT_MS, connectQmp, type QmpClient, refuseLibvirtSocket } from '../../qmp/index.ts';
import type { Forward } from '../../remote/index.ts';
import { forwardSocket, type ReachSpec } from '../../remote/index.ts';
import type { MigrateOptions } from '../options.ts';
import { findFarFault } from './far.ts';
import { checkEnds, own, type Preflight } from './preflight.ts';

/**
 * What `migrate` would find, the far host included, without touching anything.
 * Errors: those of connecting.
 */
export async function preflight(options: MigrateOptions, signal: AbortSignal): Promise<Preflight> {
  return withEnds(options, signal, async (source, destination) => {
    const checked = await checkEnds({ force: [], ...options }, source, destination);
    const fault = await findFarFault(options, checked.destination.threadId, signal);
    return fault === null
      ? checked
      : { ...checked, findings: [own('refuse', 'FAR_SIDE', fault), ...checked.findings] };
  });
}

/** Errors: those of connecting; QMP_LIBVIRT before that. */
export async function withEnds<Result>(
  { sourceQmpPath, destinationQmpPath, far }: MigrateOptions,
  signal: AbortSignal,
  use: (source: QmpClient, destination: QmpClient) => Promise<Result>,
): Promise<Result> {
  for (const path of [sourceQmpPath, destinationQmpPath]) await refuseLibvirtSocket(path);
  await using ends = new AsyncDisposableStack();
  const source = ends.use(await connectQmp({ path: sourceQmpPath, signal }));
  const forward = await forwardSocket(far?.reach ?? NEAR, destinationQmpPath, signal);
  ends.defer(() => forward.close());
  const destination = ends.use(
    await connectQmp({ path: forward.path, signal, commandTimeoutMs: commandTimeoutMs(far) }).catch(
      explain(forward, far),
    ),
  );
  return await use(source, destination);
}

const NEAR: ReachSpec = { command: [], host: null };

/** Over a broken link an answer takes as long as the link may be broken. */
function commandTimeoutMs(far: MigrateOptions['far']): number {
  return COMMAND_TIMEOUT_MS + (far?.reach.host == null ? 0 : far.linkTimeoutMs);
}

/** ssh takes the connection here also where nobody listens there; then it says so. */
function explain(forward: Forward, far: MigrateOptions['far']): (error: unknown) => never {
  return (error) => {
    if (forward.failure !== null) throw forward.failure;
    const said = forward.said();
    if (!(error instanceof GodwitError) || far?.reach.host == null || said === '') throw error;
    throw new GodwitError('REACH_FAILED', `no QEMU answers on ${far.reach.host}: ${said}`, {
      cause: error,
      safe: 'nothing was touched',
      hint: 'check the path of the QMP socket there, and that the ssh user may open it',
    });
  };
}
