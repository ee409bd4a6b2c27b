/**
 * What a controller that was killed leaves behind besides its journal: sockets that nobody serves.
 * Not responsible for state.
 */

import { rmSync } from 'node:fs';
import path from 'node:path';
import { isAlive, processNamespace, sweepPrivateFolders } from '../qmp/index.ts';
import { listJournals } from './journals.ts';

/** In a migration's folder, while its controller lives: other terminals reach it there. */
export const CONTROL_SOCKET = 'control.sock';

/** By whoever ends a migration whose controller is gone. Best effort. */
export function removeLeftovers(journalPath: string): void {
  sweepPrivateFolders();
  try {
    rmSync(path.join(path.dirname(journalPath), CONTROL_SOCKET), { force: true });
  } catch {
    // A folder that cannot be written any more: the next start takes it.
  }
}

/** By the next start: of those that nobody ended, too. A controller that cannot be seen counts as alive. */
export async function sweepLeftovers(stateFolder: string): Promise<void> {
  const namespace = await processNamespace();
  sweepPrivateFolders();
  for (const { path: journalPath, state } of listJournals(stateFolder)) {
    const { controller, controllerNamespace } = state?.begin ?? {};
    if (controller == null || controllerNamespace !== namespace || (await isAlive(controller))) continue;
    removeLeftovers(journalPath);
  }
}
