/** Whether godwit can be started on the far host and reached there: by doing so, with nothing behind it. */

import { errorMessage, GodwitError } from '../../base/index.ts';
import { FarSide } from '../../remote/index.ts';
import type { MigrateOptions } from '../options.ts';

/**
 * Why not; null where it can, or where there is nothing to start: a `godwit receive` that was started by
 * hand serves one migration, and a look would be taken for it.
 */
export async function findFarFault(
  { far, destinationQmpPath }: Pick<MigrateOptions, 'far' | 'destinationQmpPath'>,
  threadId: number | null,
  signal: AbortSignal,
): Promise<string | null> {
  if (far == null || far.withoutGateway === true || far.reach.listener != null) return null;
  const nothing = () => undefined;
  try {
    const qemu = { qmpPath: destinationQmpPath, threadId };
    const side = await FarSide.start(
      { ...far, qemu, incoming: null, onEvent: nothing, onNote: nothing },
      signal,
    );
    side.link.abort(new GodwitError('ABORTED', 'it was only a look'));
    side.close();
    return null;
  } catch (error) {
    signal.throwIfAborted();
    const hint = error instanceof GodwitError && error.hint !== null ? `: ${error.hint}` : '';
    return `the far side cannot be used: ${errorMessage(error)}${hint}`;
  }
}
