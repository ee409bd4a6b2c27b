/**
 * The other terminal's end: finds running migrations of a state folder and asks them. Not
 * responsible for showing answers.
 */

import { existsSync, readdirSync } from 'node:fs';
import net from 'node:net';
import path from 'node:path';
import { errorCode, errorMessage, GodwitError } from '../../base/index.ts';
import { CONTROL_SOCKET } from '../../recovery/index.ts';
import { type ControlRequest, controlReply, type MigrationStatus, REPLY_BYTES_MAX } from './messages.ts';
import { Door } from './server.ts';

const REPLY_TIMEOUT_MS = 5_000;
/** Nobody listens any more: the migration has ended. */
const ENDED: ReadonlySet<string> = new Set(['ECONNREFUSED', 'ENOENT', 'CONTROL_ENDED']);

/**
 * What every running migration says of itself; one that cannot be asked (another user's) is listed with its
 * error.
 */
export async function statusOfAll(
  stateFolder: string,
): Promise<{ readonly statuses: readonly MigrationStatus[]; readonly errors: readonly GodwitError[] }> {
  const statuses: MigrationStatus[] = [];
  const errors: GodwitError[] = [];
  for (const migrationId of migrationsIn(stateFolder)) {
    try {
      statuses.push(await askMigration(stateFolder, migrationId, { do: 'status' }));
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      if (error.code !== 'MIGRATION_NOT_RUNNING') errors.push(error);
    }
  }
  return { statuses, errors };
}

/**
 * The one migration with a control socket whose id begins so. Errors: MIGRATION_NOT_RUNNING,
 * MIGRATION_AMBIGUOUS.
 */
export function findMigration(stateFolder: string, name: string): string {
  const found = migrationsIn(stateFolder).filter((migrationId) => migrationId.startsWith(name));
  if (name !== '' && found.length === 1) return found[0]!;
  if (found.length === 0 || name === '') throw notRunning(name);
  throw new GodwitError('MIGRATION_AMBIGUOUS', `${found.length} migrations begin with "${name}"`, {
    safe: 'nothing was changed',
    hint: `give more of it: ${found.slice(0, 5).join(', ')}`,
  });
}

/** Errors: MIGRATION_NOT_RUNNING, CONTROL_FAILED, and what the migration refuses with. */
export async function askMigration(
  stateFolder: string,
  migrationId: string,
  request: ControlRequest,
): Promise<MigrationStatus> {
  const reply = controlReply.safeParse(await exchange(stateFolder, migrationId, request));
  if (!reply.success) {
    throw failed(migrationId, 'it answers in words of another version', reply.error);
  }
  if (reply.data.ok) return reply.data.status;
  throw new GodwitError(reply.data.code, reply.data.text, { safe: 'the migration goes on as it was' });
}

async function exchange(stateFolder: string, migrationId: string, request: ControlRequest): Promise<unknown> {
  let door: Door | null = null;
  try {
    door = new Door(folderOf(stateFolder, migrationId));
    return JSON.parse(await oneLine(door.path, JSON.stringify(request)));
  } catch (cause) {
    if (ENDED.has(errorCode(cause))) throw notRunning(migrationId);
    throw failed(migrationId, errorMessage(cause), cause);
  } finally {
    door?.leave();
  }
}

function oneLine(socketPath: string, line: string): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = net.connect(socketPath);
    let text = '';
    const timer = setTimeout(() => {
      socket.destroy();
      reject(new Error(`no answer within ${REPLY_TIMEOUT_MS} ms`));
    }, REPLY_TIMEOUT_MS);
    socket.setEncoding('utf8');
    socket.once('connect', () => socket.write(`${line}\n`));
    socket.on('data', (chunk) => {
      text += chunk;
      if (text.length > REPLY_BYTES_MAX) socket.destroy(new Error('the answer is too long'));
      if (text.includes('\n')) socket.end();
    });
    socket.on('error', reject);
    socket.on('close', () => {
      clearTimeout(timer);
      if (text.includes('\n')) resolve(text.slice(0, text.indexOf('\n')));
      else reject(new GodwitError('CONTROL_ENDED', 'it ended meanwhile'));
    });
  });
}

function folderOf(stateFolder: string, migrationId: string): string {
  return path.join(stateFolder, 'migrations', migrationId);
}

function migrationsIn(stateFolder: string): string[] {
  try {
    const names = readdirSync(path.join(stateFolder, 'migrations'));
    return names.filter((name) => existsSync(path.join(folderOf(stateFolder, name), CONTROL_SOCKET)));
  } catch {
    return [];
  }
}

function notRunning(name: string): GodwitError {
  return new GodwitError('MIGRATION_NOT_RUNNING', `no migration "${name}" is running`, {
    safe: 'nothing was changed',
    hint: 'godwit status lists those that run; godwit resolve those that were interrupted',
  });
}

function failed(migrationId: string, why: string, cause: unknown): GodwitError {
  return new GodwitError('CONTROL_FAILED', `the migration ${migrationId} cannot be asked: ${why}`, {
    cause,
    hint: 'only the user who started it may',
  });
}
