/**
 * Child processes and folders of the lab, none of which outlives it. With `setpriv --pdeathsig` the kernel
 * kills every child when the lab dies, however it dies; the next lab removes the folders of dead ones. Not
 * responsible for what the processes do.
 */

import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { errorMessage } from '../../base/index.ts';
import { labError } from '../errors.ts';

const FOLDER_PREFIX = 'godwit-lab-';
const STDERR_KEPT_BYTES = 16 * 1024;
const COMMAND_TIMEOUT_MS = 30_000;
const COMMAND_OUTPUT_BYTES_MAX = 16 * 1024 * 1024;

const living = new Set<ChildProcess>();
const folders = new Set<string>();
let exitHooked = false;

function hookExit(): void {
  if (exitHooked) return;
  exitHooked = true;
  process.on('exit', () => {
    for (const child of living) child.kill('SIGKILL');
    for (const folder of folders) rmSync(folder, { recursive: true, force: true });
  });
}

/** A running child; `exited` never rejects. */
export interface LabProcess {
  readonly pid: number;
  readonly command: readonly string[];
  /** The newest 16 KiB of what it wrote to stderr. */
  stderr(): string;
  /** null while it runs; the signal's name or "code N" afterwards. */
  ending(): string | null;
  readonly exited: Promise<string>;
  /** Kills it and waits until it is gone. */
  kill(): Promise<void>;
  /** For protocols over stdin and stdout. */
  readonly child: ChildProcess;
}

/** Starts `argv`. Errors: LAB_TOOL_MISSING where it cannot be started. */
export async function startProcess(argv: readonly string[]): Promise<LabProcess> {
  hookExit();
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', '--', ...argv], { stdio: ['pipe', 'pipe', 'pipe'] });
  await new Promise<void>((resolve, reject) => {
    child.once('spawn', resolve);
    child.once('error', (cause) =>
      reject(
        labError('LAB_TOOL_MISSING', 'the lab needs setpriv to start processes', {
          hint: 'install util-linux',
          cause,
        }),
      ),
    );
  });
  living.add(child);
  child.on('error', () => {});
  child.stdin.on('error', () => {});
  let stderr = '';
  let ending: string | null = null;
  child.stderr.on('data', (chunk: Buffer) => {
    stderr = (stderr + chunk.toString('utf8')).slice(-STDERR_KEPT_BYTES);
  });
  const exited = new Promise<string>((resolve) => {
    child.once('close', (code, signal) => {
      living.delete(child);
      ending = signal ?? `code ${code}`;
      resolve(ending);
    });
  });
  return {
    pid: child.pid!,
    command: argv,
    stderr: () => stderr,
    ending: () => ending,
    exited,
    async kill() {
      if (ending === null) child.kill('SIGKILL');
      await exited;
    },
    child,
  };
}

/** Runs `argv` to its end and returns what it wrote to stdout. Errors: LAB_COMMAND_FAILED with its stderr. */
export function runCommand(
  argv: readonly string[],
  { timeoutMs = COMMAND_TIMEOUT_MS }: { readonly timeoutMs?: number } = {},
): Promise<string> {
  return new Promise((resolve, reject) => {
    const [file = '', ...rest] = argv;
    execFile(
      file,
      rest,
      { timeout: timeoutMs, maxBuffer: COMMAND_OUTPUT_BYTES_MAX },
      (error, stdout, stderr) => {
        if (!error) return resolve(stdout);
        const reason = stderr.trim() || errorMessage(error);
        reject(labError('LAB_COMMAND_FAILED', `${argv.join(' ')}: ${reason}`, { cause: error }));
      },
    );
  });
}

/** A private folder (mode 0700) that is removed at exit. Also removes the folders of labs that have ended. */
export function makeRunFolder(): string {
  hookExit();
  sweepDeadFolders();
  const folder = mkdtempSync(join(tmpdir(), `${FOLDER_PREFIX}${process.pid}-`));
  folders.add(folder);
  return folder;
}

export function removeRunFolder(folder: string): void {
  folders.delete(folder);
  rmSync(folder, { recursive: true, force: true });
}

function sweepDeadFolders(): void {
  for (const name of readdirSync(tmpdir())) {
    const match = /^godwit-lab-(\d+)-/.exec(name);
    if (!match || isAlive(Number(match[1]))) continue;
    try {
      rmSync(join(tmpdir(), name), { recursive: true, force: true });
    } catch {
      // It belongs to another user, who must remove it.
    }
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM';
  }
}
