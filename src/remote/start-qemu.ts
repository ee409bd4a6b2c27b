/**
 * Starts a destination QEMU on this host or another one, as a process that outlives godwit once it is kept.
 * Not responsible for its command line (src/launch).
 */

import { GodwitError } from '../base/index.ts';
import type { LaunchPlan } from '../launch/index.ts';
import { identityIn } from './far-process.ts';
import type { ReachSpec } from './reach.ts';
import { Script } from './script.ts';
import { START_SCRIPT } from './start-script.ts';

export interface QemuToStart extends Omit<LaunchPlan, 'notes'> {
  /** As whom; null: as whoever godwit is there. */
  readonly user: string | null;
}

/** The script waits a minute for the QMP socket, ssh as long as a password takes. */
const START_TIMEOUT_MS = 150_000;
const KEEP_TIMEOUT_MS = 30_000;

export class StartedQemu {
  /** As process-identity.ts names a process. */
  readonly identity: string;
  readonly #script: Script;
  #isKept = false;

  private constructor(identity: string, script: Script) {
    this.identity = identity;
    this.#script = script;
  }

  /** Its QMP socket is there; it may still end while it sets up. Errors: START_FAILED, REACH_FAILED. */
  static async start(reach: ReachSpec, qemu: QemuToStart, signal: AbortSignal): Promise<StartedQemu> {
    const { program, words, workingFolder, qmpPath, machineType, makes, user } = qemu;
    const parameters = [workingFolder, user ?? '', qmpPath, machineType, makes.join('\n'), program, ...words];
    const script = Script.run(reach, START_SCRIPT, parameters);
    const where = reach.host === null ? 'here' : `on ${reach.host}`;
    try {
      const said = await script.until(/^refused .*\n|^ended\n|^started\n.*\n.*\n/s, START_TIMEOUT_MS, signal);
      const identity = said.startsWith('started\n') ? identityIn(said.slice('started\n'.length)) : null;
      if (identity !== null) return new StartedQemu(identity, script);
      script.letGo();
      throw await refusal(script, where, qemu);
    } catch (error) {
      script.letGo();
      throw error;
    }
  }

  /** From here on it outlives this process. Errors: START_FAILED when it has ended. */
  async keep(signal: AbortSignal): Promise<void> {
    this.#script.write('keep\n');
    const said = await this.#script.until(/kept\n|ended\n/, KEEP_TIMEOUT_MS, signal);
    if (!said.includes('kept\n'))
      throw startError('the destination QEMU has ended', await saidBy(this.#script));
    this.#isKept = true;
  }

  /** Ends it unless it is kept. What QEMU had said, where it ends here; else null. Never rejects. */
  async close(): Promise<string | null> {
    this.#script.letGo();
    return this.#isKept ? null : saidBy(this.#script);
  }
}

/** What QEMU had said, once the script has ended. */
async function saidBy(script: Script): Promise<string> {
  return /(?:^|\n)ended\n(.*)$/s.exec(await script.ended())?.[1]?.trim() ?? '';
}

/** Why nothing was started, in the operator's words. */
async function refusal(script: Script, where: string, qemu: QemuToStart): Promise<GodwitError> {
  const [, reason, what = ''] = /^refused (\S+) (.*)\n/s.exec(script.text) ?? [];
  const map = '--map OLD=NEW says how it is called there';
  switch (reason) {
    case 'folder':
      return startError(`the working folder ${what} of the source QEMU is not ${where}`, null, map);
    case 'program':
      return startError(`there is no ${what} ${where}`, null, map);
    case 'machine': {
      const [, type = '', version = ''] = /^(\S+) (.*)$/.exec(what) ?? [];
      return startError(`${version || qemu.program} ${where} has no machine type ${type}`, null, NEWER);
    }
    case 'taken':
      return startError(
        `${what} is ${where} already, and the QEMU to be started would make it`,
        null,
        'remove it if nobody uses it, or --map OLD=NEW',
      );
    case 'user': {
      const [wanted = '', self = ''] = what.split(' ');
      return startError(
        `the source QEMU runs as ${wanted}, and godwit is ${self} ${where}`,
        null,
        `be root or ${wanted} there`,
      );
    }
    case 'unknown':
      return startError(
        `the source QEMU runs as ${what}, and there is no such user ${where}`,
        null,
        'make that user there',
      );
    case 'log':
      return startError(`no temporary file can be made in ${what} ${where}`, null, 'free space there');
    default:
      return startError(`QEMU does not start ${where}`, await saidBy(script));
  }
}

const NEWER = 'a newer QEMU there knows it (--map says where one is); the VM keeps its machine type';

/** `said`: by QEMU; null: it was not started. */
function startError(text: string, said: string | null, hint?: string): GodwitError {
  const whole = said === null || said === '' ? text : `${text}: ${said.slice(-2000)}`;
  return new GodwitError('START_FAILED', whole, {
    safe: 'the source VM is as it was; no QEMU was left',
    hint: hint ?? '--dry-run shows the command line; --map OLD=NEW where a file has another name there',
  });
}

/** QEMU ended while it was set up, after its QMP socket was there. */
export function startedBroken(said: string): GodwitError {
  return startError('the destination QEMU ended while it was started', said);
}
