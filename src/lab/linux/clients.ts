/**
 * The clients of a Linux guest's program: which there are, their start and their end. Not responsible for
 * their requests (client.ts) nor for figures (client-figures.ts).
 */

import { fileURLToPath } from 'node:url';
import { labError } from '../errors.ts';
import { startProcess } from '../machine/processes.ts';
import type { ClientLog, ClientOptions } from './client-figures.ts';
import { GUEST_ADDRESS, type LinuxProgram, PROGRAM_RECIPES } from './programs.ts';
import type { UserNetwork } from './user-network.ts';

const CLIENT = fileURLToPath(new URL('./client.ts', import.meta.url));
const START_TIMEOUT_MS = 30_000;

type Habits = Omit<ClientOptions, 'host' | 'port'>;

export const CLIENT_HABITS: Readonly<Partial<Record<LinuxProgram, Habits>>> = {
  web: { kind: 'http', connections: 8, path: 'page', count: 64, valueBytes: 0, paceMs: null },
  // Four clients that each fetch a segment of 1 MiB every two seconds: 4 Mbit/s each.
  stream: { kind: 'http', connections: 4, path: 'segment', count: 32, valueBytes: 0, paceMs: 2000 },
  redis: { kind: 'redis', connections: 4, path: '', count: 16_384, valueBytes: 4096, paceMs: null },
};

export interface Clients {
  /** Ends them and returns what they logged. */
  stop(): Promise<ClientLog>;
}

/** Null for a program that has no clients. */
export async function startClients(
  program: LinuxProgram,
  users: UserNetwork | null,
): Promise<Clients | null> {
  const habits = CLIENT_HABITS[program];
  const { port } = PROGRAM_RECIPES[program];
  if (habits === undefined || port === null || users === null) return null;
  const options: ClientOptions = { ...habits, host: GUEST_ADDRESS, port };
  const flags = process.execArgv.filter((flag) => !flag.startsWith('--test'));
  const argv = [process.execPath, ...flags, CLIENT, JSON.stringify(options)];
  const client = await startProcess(users.clientCommand(argv));
  let said = '';
  const running = new Promise<void>((resolve) => {
    client.child.stdout?.on('data', (chunk: Buffer) => {
      said += chunk.toString('latin1');
      if (said.startsWith('running\n')) resolve();
    });
  });
  const ended = client.exited.then((ending) => {
    throw labError('LAB_COMMAND_FAILED', `a client ended with ${ending}: ${client.stderr().trim()}`);
  });
  const late = new Promise<never>((_, reject) => {
    const error = labError('LAB_COMMAND_FAILED', 'a client does not start');
    setTimeout(() => reject(error), START_TIMEOUT_MS).unref();
  });
  late.catch(() => undefined);
  ended.catch(() => undefined);
  await Promise.race([running, ended, late]);
  return {
    async stop() {
      client.child.stdin?.end();
      await client.exited;
      return JSON.parse(said.slice('running\n'.length)) as ClientLog;
    },
  };
}
