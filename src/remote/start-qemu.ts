/**
 * Starts a destination QEMU on this host or another one, as a process that outlives godwit once it is kept.
 * Not responsible for its command line (src/launch).
 */

import type { ChildProcess } from 'node:child_process';
import { GodwitError, sleep } from '../base/index.ts';
import { identityIn } from './far-process.ts';
import { collect, farCommand, type ReachSpec, startFar } from './reach.ts';
import { START_SCRIPT } from './start-script.ts';

export interface QemuToStart {
  readonly program: string;
  readonly words: readonly string[];
  readonly workingFolder: string;
  readonly qmpPath: string;
  readonly machineType: string;
  /** Paths that it makes: one that is there already is somebody else's. */
  readonly makes: readonly string[];
  /** As whom; null: as whoever godwit is there. */
  readonly user: string | null;
}

/** What QEMU says at its end, at most. */
const TEXT_BYTES_MAX = 64 * 1024;
/** The script waits a minute for the QMP socket, ssh as long as a password takes. */
const START_TIMEOUT_MS = 150_000;
/** QEMU is told to end, and killed after 5 s. */
const END_TIMEOUT_MS = 15_000;
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
    const script = new Script(
      startFar(farCommand(reach, ['sh', '-c', START_SCRIPT, 'sh', ...parameters]), 'pipe'),
    );
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
      throw startError('the destination QEMU has ended', await this.#script.rest());
    this.#isKept = true;
  }

  /** Ends it unless it is kept. What QEMU had said, where it ends here; else null. Never rejects. */
  async close(): Promise<string | null> {
    this.#script.letGo();
    return this.#isKept ? null : this.#script.rest();
  }
}

/** The running script: what it has said so far. */
class Script {
  readonly #child: ChildProcess;
  readonly #errors: () => string;
  readonly #ended: Promise<void>;
  #text = '';
  #hasEnded = false;
  #onText: () => void = () => undefined;

  constructor(child: ChildProcess) {
    this.#child = child;
    this.#errors = collect(child);
    child.stdout?.setEncoding('utf8').on('data', (chunk: string) => {
      if (this.#text.length < TEXT_BYTES_MAX) this.#text += chunk;
      this.#onText();
    });
    this.#ended = new Promise((resolve) => {
      child.on('error', () => resolve()).on('close', () => resolve());
    });
    void this.#ended.then(() => {
      this.#hasEnded = true;
      this.#onText();
    });
  }

  write(text: string): void {
    this.#child.stdin?.write(text);
  }

  /** All it has said, once that matches or it has ended. Errors: REACH_FAILED, `signal`'s reason. */
  async until(wanted: RegExp, timeoutMs: number, signal: AbortSignal): Promise<string> {
    const late = AbortSignal.timeout(timeoutMs);
    const woken = AbortSignal.any([signal, late]);
    while (!wanted.test(this.#text) && !this.#hasEnded) {
      if (woken.aborted) {
        signal.throwIfAborted();
        throw reachError(`it has not answered within ${timeoutMs / 1000} s`);
      }
      await new Promise<void>((resolve) => {
        this.#onText = resolve;
        woken.addEventListener('abort', () => resolve(), { once: true });
      });
    }
    if (!wanted.test(this.#text))
      throw reachError(this.#errors().trim() || 'the shell there ended without a word');
    return this.#text;
  }

  get text(): string {
    return this.#text;
  }

  /** The end of the leash: without `keep` it ends QEMU. */
  letGo(): void {
    this.#child.stdin?.end();
  }

  /** What QEMU had said, once the script has ended. */
  async rest(): Promise<string> {
    const late = new AbortController();
    await Promise.race([this.#ended, sleep(END_TIMEOUT_MS, late.signal).catch(() => undefined)]);
    late.abort();
    if (!this.#hasEnded) this.#child.kill();
    return /(?:^|\n)ended\n(.*)$/s.exec(this.#text)?.[1]?.trim() ?? '';
  }
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
      return startError(`QEMU does not start ${where}`, await script.rest());
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

function reachError(text: string): GodwitError {
  return new GodwitError('REACH_FAILED', `a QEMU could not be started there: ${text}`, {
    safe: 'the source VM is as it was',
    hint: 'try the ssh command by hand',
  });
}
