/**
 * A private folder for the sockets between this process and one QEMU. Not responsible for where
 * it may be (socket-place.ts).
 */

import { chmodSync, chownSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorMessage, GodwitError } from '../base/index.ts';
import { makePrivateFolder, removePrivateFolder } from './private-folder.ts';
import type { NoSocketPlace, SocketPlace } from './socket-place.ts';

export class SocketFolder {
  readonly #place: SocketPlace;
  readonly #name: string;

  private constructor(place: SocketPlace, name: string) {
    this.#place = place;
    this.#name = name;
  }

  /** Errors: SOCKET_FOLDER. */
  static make(place: SocketPlace | NoSocketPlace): SocketFolder {
    if ('refusal' in place) throw folderError(place.refusal);
    let made: string | null = null;
    try {
      made = makePrivateFolder(place.here);
      if (place.owner !== null) {
        if (place.byGroup) chmodSync(made, 0o710);
        chownSync(made, place.owner.userId, place.owner.groupId);
      }
      return new SocketFolder(place, basename(made));
    } catch (cause) {
      if (made !== null) removePrivateFolder(made);
      throw folderError(`no private folder in ${place.here}: ${errorMessage(cause)}`, cause);
    }
  }

  /** A socket in it, as this process names it. */
  here(name: string): string {
    return join(this.#place.here, this.#name, name);
  }

  /** The same socket, as QEMU names it. */
  there(name: string): string {
    return join(this.#place.there, this.#name, name);
  }

  /**
   * A socket that this process listens at: QEMU may connect to it, and nobody else. Errors: SOCKET_FOLDER.
   */
  giveToQemu(name: string): void {
    const { owner, byGroup } = this.#place;
    try {
      chmodSync(this.here(name), byGroup ? 0o660 : 0o600);
      if (owner !== null) chownSync(this.here(name), owner.userId, owner.groupId);
    } catch (cause) {
      throw folderError(
        `the socket ${this.here(name)} cannot be given to QEMU: ${errorMessage(cause)}`,
        cause,
      );
    }
  }

  /** Best effort: with QEMU its mounts may be gone, with a full disk the right to remove. */
  remove(): void {
    removePrivateFolder(join(this.#place.here, this.#name));
  }
}

function folderError(text: string, cause?: unknown): GodwitError {
  return new GodwitError('SOCKET_FOLDER', text, {
    cause,
    safe: 'nothing was changed at either QEMU',
    hint: 'TMPDIR names the folder to begin with; godwit as root can meet a QEMU of any user',
  });
}
