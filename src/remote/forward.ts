/** A socket here that answers for one on the far host. reach.ts and listener.ts make such. */

import { findSocketPlace, SocketFolder } from '../qmp/index.ts';

export interface Forward {
  /** A path here at which the far socket answers. */
  readonly path: string;
  /** The way there is still open, as far as is known here. */
  readonly alive: boolean;
  /** How often the far host said that nobody listens at the far socket. */
  readonly refusals: number;
  /** Why the last connection did not get through, where that is known; else null. */
  readonly failure: unknown;
  /** What ssh said last; empty where it said nothing. */
  said(): string;
  close(): void;
}

export const FORWARD = 'forward.sock';

/** Private; for the socket that answers here for one over there. Errors: SOCKET_FOLDER. */
export async function makeForwardFolder(): Promise<SocketFolder> {
  return SocketFolder.make(await findSocketPlace({ role: 'connects', qemu: null, qmpPath: null }));
}
