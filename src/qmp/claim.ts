/**
 * One migration a VM: a claim is an object inside the QEMU process itself, so it holds whichever socket,
 * state folder or host a second command comes from, and it tells this QEMU from another one that took over
 * its socket's path. `object-add` of a name that exists fails, so claiming is atomic (measured with 7.2,
 * 10.0). The object is a `secret`, which no guest and no migration sees.
 */

import { z } from 'zod';
import { errorCode, errorMessage, GodwitError } from '../base/index.ts';
import type { ExecuteOptions, QmpExecutor } from './client.ts';

const CLAIM_ID = 'godwit-claim';
const CLAIM_PATH = `/objects/${CLAIM_ID}`;

const claimSchema = z.object({
  migrationId: z.string(),
  /** Whose it is, for people: host and process of the controller. */
  holder: z.string(),
  /** Where its journal is, on the holder's host. */
  journal: z.string(),
});
export type Claim = z.infer<typeof claimSchema>;

/** Errors: QEMU_CLAIMED when another migration has it; those of QMP. */
export async function claimQemu(qemu: QmpExecutor, claim: Claim): Promise<void> {
  const data = JSON.stringify(claim);
  try {
    await addSecret(qemu, data);
  } catch (error) {
    const held = await readClaim(qemu).catch(() => null);
    if (held === null) throw error;
    if (held.migrationId === claim.migrationId) return;
    throw claimedError(held);
  }
}

/** Before 6.0 an object's properties stood in `props`. */
async function addSecret(qemu: QmpExecutor, data: string): Promise<void> {
  const object = { 'qom-type': 'secret', id: CLAIM_ID };
  try {
    await qemu.execute('object-add', { ...object, data });
  } catch (error) {
    if (errorCode(error) !== 'QMP_COMMAND' || !/'data' is unexpected|'props'/.test(errorMessage(error)))
      throw error;
    await qemu.execute('object-add', { ...object, props: { data } });
  }
}

export function claimedError(held: Claim): GodwitError {
  return new GodwitError(
    'QEMU_CLAIMED',
    `migration ${held.migrationId} (${held.holder}) has this VM, and nobody has ended it`,
    {
      safe: 'nothing was changed',
      hint: `wait for its end; if its controller is gone, on its host: godwit resolve ${held.journal}`,
      fields: { migrationId: held.migrationId, journal: held.journal },
    },
  );
}

/** null: nobody has it. Errors: those of QMP. */
export async function readClaim(qemu: QmpExecutor, options?: ExecuteOptions): Promise<Claim | null> {
  try {
    const data = await qemu.execute('qom-get', { path: CLAIM_PATH, property: 'data' }, options);
    return claimSchema.parse(JSON.parse(String(data)));
  } catch (error) {
    if (errorCode(error) === 'QMP_COMMAND') return null;
    if (error instanceof GodwitError) throw error;
    return { migrationId: 'unknown', holder: 'not written by this version of godwit', journal: '' };
  }
}

/** Takes the claim of `migrationId` away; another's stays. Errors: those of QMP. */
export async function releaseClaim(qemu: QmpExecutor, migrationId: string): Promise<void> {
  const held = await readClaim(qemu);
  if (held?.migrationId === migrationId) await qemu.execute('object-del', { id: CLAIM_ID });
}
