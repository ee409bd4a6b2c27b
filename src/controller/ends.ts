/** Opens both QMP sockets for one use, and the check that uses nothing else. Not responsible for what is done with them. */

import { connectQmp, type QmpClient, refuseLibvirtSocket } from '../qmp/index.ts';
import type { MigrateOptions } from './options.ts';
import { checkEnds, type Preflight } from './preflight.ts';

/** What `migrate` would find, without touching anything. Errors: those of connecting. */
export async function preflight(options: MigrateOptions, signal: AbortSignal): Promise<Preflight> {
  return withEnds(options, signal, (source, destination) =>
    checkEnds({ force: [], ...options }, source, destination),
  );
}

/** Errors: those of connecting; QMP_LIBVIRT before that. */
export async function withEnds<Result>(
  { sourceQmpPath, destinationQmpPath }: MigrateOptions,
  signal: AbortSignal,
  use: (source: QmpClient, destination: QmpClient) => Promise<Result>,
): Promise<Result> {
  for (const path of [sourceQmpPath, destinationQmpPath]) await refuseLibvirtSocket(path);
  const source = await connectQmp({ path: sourceQmpPath, signal });
  try {
    const destination = await connectQmp({ path: destinationQmpPath, signal });
    try {
      return await use(source, destination);
    } finally {
      await destination.close();
    }
  } finally {
    await source.close();
  }
}
