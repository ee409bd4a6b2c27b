/**
 * A destination QEMU that listens on a network itself speaks TLS 1.3 with a key of this migration: offered by
 * QMP before it listens, taken away once the stream is connected. Measured with QEMU 10.0: its GnuTLS takes a
 * key of 32 bytes over TLS 1.3, and refuses another one.
 */

import { randomBytes } from 'node:crypto';
import { errorMessage, GodwitError } from '../base/index.ts';
import { PSK_BYTES } from '../link/index.ts';
import { isRefusal, migrateSetParameters, type ParameterGuard, type QmpExecutor } from '../qmp/index.ts';
import { KeyFile, type ReachSpec } from '../remote/index.ts';

const CREDENTIALS_ID = 'godwit-tls';

export interface OfferOptions {
  readonly destination: QmpExecutor;
  /** Records what is changed before it is. */
  readonly guard: ParameterGuard;
  readonly reach: ReachSpec;
  /** Of the destination QEMU, as its own host counts. */
  readonly threadId: number | null;
}

export class QemuKey {
  readonly key: Uint8Array;
  readonly #destination: QmpExecutor;
  readonly #file: KeyFile;

  private constructor(key: Uint8Array, destination: QmpExecutor, file: KeyFile) {
    this.key = key;
    this.#destination = destination;
    this.#file = file;
  }

  /** Errors: DESTINATION_TLS, REACH_FAILED, those of QMP. */
  static async offer(options: OfferOptions, signal: AbortSignal): Promise<QemuKey> {
    const { destination, guard, reach, threadId } = options;
    const key = randomBytes(PSK_BYTES);
    // GnuTLS reads the file when somebody connects, not before.
    const file = await KeyFile.place(reach, key, threadId, signal);
    try {
      // What an attempt has left that was killed.
      await removeCredentials(destination);
      await destination.execute('object-add', {
        'qom-type': 'tls-creds-psk',
        id: CREDENTIALS_ID,
        endpoint: 'server',
        dir: file.folder,
      });
      await guard.setParameters({ 'tls-creds': CREDENTIALS_ID });
    } catch (cause) {
      await file.remove();
      if (!isRefusal(cause)) throw cause;
      throw new GodwitError('DESTINATION_TLS', `the destination QEMU takes no key: ${errorMessage(cause)}`, {
        cause,
        safe: 'the source VM goes on',
        hint: 'a QEMU with GnuTLS takes one; --insecure sends the memory in clear, on a trusted network',
      });
    }
    return new QemuKey(key, destination, file);
  }

  /** The connection is there and keeps what it needs, or there will be none. Errors: those of QMP. */
  async withdraw(): Promise<void> {
    this.key.fill(0);
    await this.#file.remove();
    await migrateSetParameters(this.#destination, new Map([['tls-creds', '']]));
    await removeCredentials(this.#destination);
  }
}

async function removeCredentials(destination: QmpExecutor): Promise<void> {
  await destination.execute('object-del', { id: CREDENTIALS_ID }).catch((error: unknown) => {
    if (!isRefusal(error)) throw error;
  });
}
