/** A Unix socket that only one owner's QEMU can open. Not responsible for who connects. */

import { chmod, chown, stat } from 'node:fs/promises';
import type net from 'node:net';

/** Listens on `path` with the rights of the owner of `ownerOf`. Errors: the system's. */
export async function listenPrivately(server: net.Server, path: string, ownerOf: string): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, () => resolve());
  });
  await chmod(path, 0o600);
  const owner = await stat(ownerOf);
  if (owner.uid !== process.getuid?.()) await chown(path, owner.uid, owner.gid);
}
