/**
 * `godwit` as an operator runs it, in a process of its own, and where its controller stands. Not responsible
 * for what it is asked.
 */

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { NODE_FLAGS } from '../../bin/runtime.mjs';
import { GODWIT } from '../live/ssh-rig.ts';

const STAND_STILL = fileURLToPath(new URL('stand-still.ts', import.meta.url));

export interface CommandOptions {
  readonly env: NodeJS.ProcessEnv;
  /** Where the controller stands still; null: nowhere. */
  readonly strike?: { readonly step: string; readonly afterMs: number } | null;
  /** `one-line`: whoever reads standard output leaves after the first line, as `head -1` does. */
  readonly reader?: 'patient' | 'one-line';
}

export interface Ended {
  /** null: ended by `signal`. */
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly out: string;
  readonly err: string;
}

export interface Command {
  readonly pid: number;
  /** true at the moment of the strike; false if it ended before that. */
  readonly reached: Promise<boolean>;
  readonly ended: Promise<Ended>;
  readonly steps: readonly string[];
  goOn(): void;
  kill(signal: NodeJS.Signals): boolean;
}

const TOLD = 3;
const GO_ON = 4;
const OUTPUT_TIMEOUT_MS = 500;

export function startGodwit(args: readonly string[], options: CommandOptions): Command {
  const { strike = null, reader = 'patient' } = options;
  const argv = [...NODE_FLAGS, '--import', STAND_STILL, GODWIT, ...args];
  const env = {
    ...options.env,
    ...(strike === null ? {} : { FAULT_STEP: strike.step, FAULT_AFTER_MS: String(strike.afterMs) }),
  };
  const child = spawn(process.execPath, argv, { env, stdio: ['ignore', 'pipe', 'pipe', 'pipe', 'pipe'] });
  const [told, goOn] = [child.stdio[TOLD]!, child.stdio[GO_ON]! as NodeJS.WritableStream];
  goOn.on('error', () => undefined);
  let [out, err, said] = ['', '', ''];
  const reached = Promise.withResolvers<boolean>();
  const steps: string[] = [];
  child.stdout!.on('data', (chunk) => {
    out += String(chunk);
    if (reader === 'one-line' && out.includes('\n')) child.stdout!.destroy();
  });
  child.stderr!.on('data', (chunk) => {
    err += String(chunk);
  });
  (told as NodeJS.ReadableStream).on('data', (chunk) => {
    const lines = (said + String(chunk)).split('\n');
    said = lines.pop()!;
    for (const line of lines) {
      if (line === 'here') reached.resolve(true);
      else steps.push(line.slice('step '.length));
    }
  });
  const ended = new Promise<Ended>((resolve) => {
    child.once('exit', (code, signal) => {
      reached.resolve(false);
      const end = () => resolve({ code, signal, out, err });
      // Not `close` alone: a process that it left behind may hold its standard error open.
      const patience = setTimeout(end, OUTPUT_TIMEOUT_MS);
      child.once('close', () => {
        clearTimeout(patience);
        end();
      });
    });
  });
  return {
    pid: child.pid!,
    reached: reached.promise,
    ended,
    steps,
    goOn: () => void goOn.write('x'),
    kill: (signal) => child.kill(signal),
  };
}
