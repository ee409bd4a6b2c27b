/**
 * Opens both QMP sockets for one use, and the check that uses nothing else. Not responsible for what
 * is done with them.
 */

import { GodwitError } from '../../base/index.ts';
import type { LaunchPlan } from '../../launch/index.ts';
import { COMMAND_TIMEOUT_MS, connectQmp, type QmpClient, refuseLibvirtSocket } from '../../qmp/index.ts';
import type { Forward } from '../../remote/index.ts';
import { forwardSocket, NEAR } from '../../remote/index.ts';
import type { MigrateOptions } from '../options.ts';
import { launchFindings, Twin } from '../start/twin.ts';
import { findFarFault } from './far.ts';
import { checkEnds, own, type Preflight } from './preflight.ts';

export interface OpenEnds {
  readonly source: QmpClient;
  readonly destination: QmpClient;
  /** null: the destination QEMU was started by somebody else. */
  readonly twin: Twin | null;
}

/** Told before anything is started. */
export type OnPlan = (plan: LaunchPlan) => void;

/**
 * What `migrate` would find, the far host included, without touching anything. A destination QEMU that
 * godwit is to start is started for the look, and ended with it. Errors: those of connecting and starting.
 */
export async function preflight(
  options: MigrateOptions,
  onPlan: OnPlan,
  signal: AbortSignal,
): Promise<Preflight> {
  return withEnds(options, onPlan, signal, async (ends) => {
    const checked = await checkOpenEnds(options, ends);
    const fault = await findFarFault(options, checked.destination.threadId, signal);
    return fault === null
      ? checked
      : { ...checked, findings: [own('refuse', 'FAR_SIDE', fault), ...checked.findings] };
  });
}

export async function checkOpenEnds(options: MigrateOptions, ends: OpenEnds): Promise<Preflight> {
  const checked = await checkEnds({ force: [], ...options }, ends.source, ends.destination);
  if (ends.twin === null) return checked;
  return { ...checked, findings: [...checked.findings, ...launchFindings(ends.twin.plan)] };
}

/** Errors: those of connecting and of starting; QMP_LIBVIRT before that. */
export async function withEnds<Result>(
  options: MigrateOptions,
  onPlan: OnPlan,
  signal: AbortSignal,
  use: (ends: OpenEnds) => Promise<Result>,
): Promise<Result> {
  const { sourceQmpPath, destinationQmpPath, far } = options;
  for (const path of [sourceQmpPath, destinationQmpPath]) await refuseLibvirtSocket(path);
  await using ends = new AsyncDisposableStack();
  const source = ends.use(await connectQmp({ path: sourceQmpPath, signal }));
  const twin = await Twin.start(options, source, onPlan, signal);
  if (twin !== null) ends.use(twin);
  const timeoutMs = twin === null ? {} : { timeoutMs: TWIN_TIMEOUT_MS };
  const forward = await forwardSocket(far?.reach ?? NEAR, destinationQmpPath, signal);
  ends.defer(() => forward.close());
  const destination = ends.use(
    await connectQmp({
      path: forward.path,
      signal,
      ...timeoutMs,
      commandTimeoutMs: commandTimeoutMs(far),
    }).catch(async (error: unknown) => {
      throw explained((await twin?.explain(error)) ?? error, forward, far);
    }),
  );
  return await use({ source, destination, twin });
}

/** QEMU answers once the whole machine is made; memory that is touched at its start takes long. */
const TWIN_TIMEOUT_MS = 120_000;

/** Over a broken link an answer takes as long as the link may be broken. */
function commandTimeoutMs(far: MigrateOptions['far']): number {
  return COMMAND_TIMEOUT_MS + (far?.reach.host == null ? 0 : far.linkTimeoutMs);
}

/** ssh takes the connection here also where nobody listens there; then it says so. */
function explained(error: unknown, forward: Forward, far: MigrateOptions['far']): unknown {
  if (forward.failure !== null) return forward.failure;
  const said = forward.said();
  if (!(error instanceof GodwitError) || !error.code.startsWith('QMP_')) return error;
  if (far?.reach.host == null || said === '') return error;
  return new GodwitError('REACH_FAILED', `no QEMU answers on ${far.reach.host}: ${said}`, {
    cause: error,
    safe: 'nothing was touched',
    hint: 'check the path of the QMP socket there, and that the ssh user may open it',
  });
}
