/**
 * A key of one migration as a file on the destination's host: QEMU knows keys by files only, and reads them
 * when somebody connects. It crosses over standard input, never on a command line, and lies in memory where
 * the host has such a place. Not responsible for telling QEMU.
 */

import { PSK_IDENTITY } from '../link/index.ts';
import type { ReachSpec } from './reach.ts';
import { Script } from './script.ts';

/** Parameter: a thread of QEMU, whose user may read the file. The folder goes when standard input ends. */
const KEY_SCRIPT = String.raw`
thread=$1
umask 077
trap '' PIPE HUP
folder=$(mktemp -d -p /dev/shm 2>/dev/null || mktemp -d) || exit 1
trap 'rm -rf -- "$folder"' EXIT
IFS= read -r line || exit 1
printf '%s\n' "$line" >"$folder/keys.psk" || exit 1
owner=$(sed -n 's/^Uid:[^0-9]*[0-9]*[^0-9]*\([0-9]*\).*/\1/p' "/proc/$thread/status" 2>/dev/null)
if [ "$(id -u)" = 0 ] && [ -n "$owner" ]; then chown -R "$owner" "$folder"; fi
printf 'folder %s\n' "$folder"
cat >/dev/null
`;

const TIMEOUT_MS = 90_000;

export class KeyFile {
  /** On its host; with the file `keys.psk` in it. */
  readonly folder: string;
  readonly #script: Script;

  private constructor(folder: string, script: Script) {
    this.folder = folder;
    this.#script = script;
  }

  /** Errors: REACH_FAILED. */
  static async place(
    reach: ReachSpec,
    key: Uint8Array,
    threadId: number | null,
    signal: AbortSignal,
  ): Promise<KeyFile> {
    const script = Script.run(reach, KEY_SCRIPT, [String(threadId ?? '')]);
    try {
      script.write(`${PSK_IDENTITY}:${Buffer.from(key).toString('hex')}\n`);
      const said = await script.until(/^folder \/.*\n/, TIMEOUT_MS, signal);
      return new KeyFile(said.slice('folder '.length).trim(), script);
    } catch (error) {
      script.letGo();
      throw error;
    }
  }

  /** Never rejects. */
  async remove(): Promise<void> {
    this.#script.letGo();
    await this.#script.ended();
  }
}
