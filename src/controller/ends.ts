/** Opens both QMP sockets for one use, and the check that uses nothing else. Not responsible for what is done with them. */

import { connectQmp, type QmpClient, refuseLibvirtSocket } from '../qmp/index.ts';
import type { MigrateOptions } from './options.ts';
import { forwardSocket } from './reach.ts';
import { checkEnds, type Preflight } from './preflight.ts';

/** What `migrate` would find, without touching anything. Errors: those of connecting. */
export async function preflight(options: MigrateOptions, signal: AbortSignal): Promise<Preflight> {
  return withEnds(options, signal, (source, destination) =>
    checkEnds({ force: [], ...options }, source, destination),
  );
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
  const forward = far == null ? null : await forwardSocket(far.reach, destinationQmpPath, signal);
  if (forward) ends.defer(() => forward.close());
  const destination = ends.use(await connectQmp({ path: forward?.path ?? destinationQmpPath, signal }));
  return await use(source, destination);
}
