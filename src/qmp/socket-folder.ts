/**
 * A private folder for the sockets between this process and one QEMU. Not responsible for where
 * it may be (socket-place.ts).
 */

import { chmodSync, closeSync, constants, fchmodSync, fchownSync, lchownSync, openSync } from 'node:fs';
import { basename, join } from 'node:path';
import { errorMessage, GodwitError } from '../base/index.ts';
import { makePrivateFolder, removePrivateFolder } from './private-folder.ts';
import type { NoSocketPlace, SocketOwner, SocketPlace } from './socket-place.ts';

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
      if (place.owner !== null) openTo(made, place, place.owner);
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
      if (owner !== null) lchownSync(this.here(name), owner.userId, owner.groupId);
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

/**
 * A folder that belonged to QEMU's user would let that user put a link in the place of our socket before it
 * is given away: where this process listens, QEMU only passes through.
 */
function openTo(folder: string, { role, byGroup }: SocketPlace, { userId, groupId }: SocketOwner): void {
  const open = openSync(folder, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW);
  try {
    if (byGroup) fchmodSync(open, 0o710);
    else if (role === 'connects') fchmodSync(open, 0o711);
    if (byGroup || role === 'listens') fchownSync(open, userId, groupId);
  } finally {
    closeSync(open);
  }
}

function folderError(text: string, cause?: unknown): GodwitError {
  return new GodwitError('SOCKET_FOLDER', text, {
    cause,
    safe: 'nothing was changed at either QEMU',
    hint: 'TMPDIR names the folder to begin with; godwit as root can meet a QEMU of any user',
  });
}
