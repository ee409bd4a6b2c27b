/**
 * The control socket: another terminal's requests to a migration, and a false migration's
 * answers to a terminal.
 */

import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { statusLines } from '../../../src/cli/control/text.ts';
import { painter, printable } from '../../../src/cli/screen/output.ts';
import { controlReply, REPLY_BYTES_MAX } from '../../../src/controller/control/messages.ts';
import { Door, openControl } from '../../../src/controller/control/server.ts';
import { askMigration } from '../../../src/controller/index.ts';
import type { FuzzTarget } from '../target.ts';
import { jsonGrammar } from './json-lines.ts';

const STATUS = {
  migrationId: 'aaaa-1',
  processId: 1,
  arrangement: 'single',
  strategy: 'mp',
  source: '/run/a',
  destination: '/run/b',
  phase: 'iterating',
  elapsedMs: 1000,
  iteration: 2,
  sentBytes: 1e9,
  linkBytesPerSecond: 1e8,
  dirtyBytesPerSecond: 1e8,
  queuedBytes: 0,
  heldBytes: null,
  downtimePredictedMs: 12,
  downtimeMsMax: 300,
  bandwidthBytesPerSecondMax: null,
  why: 'why',
  rule: null,
};

let folder: string | null = null;
function stateFolder(): string {
  if (folder !== null) return folder;
  const made = mkdtempSync(path.join(tmpdir(), 'godwit-fuzz-'));
  process.once('exit', () => rmSync(made, { recursive: true, force: true }));
  folder = made;
  return made;
}

function migrationFolder(id: string): string {
  const made = path.join(stateFolder(), 'migrations', id);
  mkdirSync(made, { recursive: true, mode: 0o700 });
  return made;
}

/** Everything that is answered until the server closes. */
function say(door: Door, bytes: Uint8Array): Promise<string> {
  return new Promise((resolve) => {
    let text = '';
    const socket = net.connect(door.path, () => socket.end(bytes));
    socket.setEncoding('utf8').on('data', (chunk) => {
      text += chunk;
    });
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(text));
  });
}

export const controlRequests: FuzzTarget = {
  name: 'control-requests',
  codes: /^NONE$/,
  ...jsonGrammar([
    { do: 'status' },
    { do: 'set', bandwidthBytesPerSecondMax: 1000, downtimeMsMax: 50 },
    { do: 'set', bandwidthBytesPerSecondMax: null },
    { do: 'switch' },
    { do: 'cancel' },
  ]),
  inputBytesMax: 16 * 1024,
  run: async (bytes) => {
    const where = migrationFolder('requests');
    const reply = { ok: false, code: 'ASKED', text: '' } as const;
    const server = await openControl(where, { answer: () => reply });
    const door = new Door(where);
    try {
      for (const line of (await say(door, bytes)).split('\n')) {
        if (line !== '') controlReply.parse(JSON.parse(line));
      }
    } finally {
      door.leave();
      server.close();
    }
  },
};

export const controlReplies: FuzzTarget = {
  name: 'control-replies',
  codes: /^[A-Z0-9_]{1,64}$/,
  ...jsonGrammar([
    { ok: true, status: STATUS },
    { ok: false, code: 'REFUSED_HERE', text: 'no' },
  ]),
  inputBytesMax: 2 * REPLY_BYTES_MAX,
  run: async (bytes) => {
    const where = migrationFolder('replies');
    const door = new Door(where);
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      socket.once('data', () => socket.end(bytes));
    });
    await new Promise<void>((resolve) => server.listen(door.path, resolve));
    try {
      const status = await askMigration(stateFolder(), 'replies', { do: 'status' });
      const shown = statusLines(status, painter(false)).join('\n');
      assert.equal(shown, printable(shown), 'no control characters reach the terminal');
    } finally {
      await new Promise((resolve) => server.close(resolve));
      door.close();
    }
  },
};
