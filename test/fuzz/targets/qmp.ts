/** A QEMU's side of a QMP connection as bytes: the greeting, the lines, answers and events of a client. */

import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import net from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { Duplex } from 'node:stream';
import { errorCode } from '../../../src/base/index.ts';
import { connectQmp, QmpClient } from '../../../src/qmp/index.ts';
import { LineReader } from '../../../src/qmp/lines.ts';
import type { FuzzTarget } from '../target.ts';
import { jsonGrammar } from './json-lines.ts';

const GREETING = {
  QMP: { version: { qemu: { major: 10, minor: 0, micro: 2 }, package: 'Debian' }, capabilities: ['oob'] },
};
const TIMESTAMP = { seconds: 1_700_000_000, microseconds: 5 };
const ANSWERS = [
  { return: {}, id: 1 },
  { return: { status: 'running', running: true }, id: 2 },
  { id: 3, error: { class: 'GenericError', desc: 'no' } },
  { timestamp: TIMESTAMP, event: 'STOP', data: {} },
  { timestamp: TIMESTAMP, event: 'MIGRATION_PASS', data: { pass: 2 } },
];

/** In any chunking the same lines; each is what JSON.parse makes of it. */
export const qmpLines: FuzzTarget = {
  name: 'qmp-lines',
  codes: /^QMP_PROTOCOL$/,
  ...jsonGrammar([GREETING, ...ANSWERS]),
  run: (bytes) => {
    const read = (sizeBytes: number) => {
      const reader = new LineReader(32 * 1024);
      const found: unknown[] = [];
      try {
        for (let at = 0; at < bytes.length; at += sizeBytes) {
          for (const { message } of reader.push(bytes.subarray(at, at + sizeBytes))) found.push(message);
        }
        return { found, error: null };
      } catch (error) {
        return { found, error };
      }
    };
    const whole = read(Math.max(1, bytes.length));
    const parts = read(1 + (bytes.length % 5));
    assert.deepEqual(parts.found, whole.found);
    assert.equal(parts.error === null, whole.error === null);
    const lines = Buffer.from(bytes).toString('latin1').split('\n').slice(0, -1);
    const filled = lines.map((line) => Buffer.from(line, 'latin1').toString('utf8').trim());
    const naive = filled.filter((line) => line !== '').slice(0, whole.found.length);
    assert.deepEqual(
      whole.found,
      naive.map((line) => JSON.parse(line)),
    );
    if (whole.error !== null) throw whole.error;
  },
};

function openSocket(): { socket: Duplex; written: () => number } {
  let written = 0;
  const socket = new Duplex({
    read: () => undefined,
    write: (chunk: Buffer, _, done) => {
      written += chunk.length;
      done();
    },
  });
  return { socket, written: () => written };
}

/** A client with six commands under way and two readers of events: each gets an answer or an error of QMP. */
export const qmpClient: FuzzTarget = {
  name: 'qmp-client',
  codes: /^NONE$/,
  ...jsonGrammar(ANSWERS),
  run: async (bytes) => {
    const { socket } = openSocket();
    const greeting = { version: { major: 10, minor: 0, micro: 2 }, package: '', offersOob: true };
    const client = new QmpClient(socket, '/run/fuzzed', greeting, new LineReader());
    const ends = [
      ...Array.from({ length: 6 }, (_, index) => client.execute(`command-${index}`)),
      client.waitEvent('STOP', { since: 0 }),
      client.waitEvent(({ data }) => data['pass'] === 2, { since: 0 }),
    ].map((end) => end.catch((error: unknown) => assert.match(errorCode(error), /^QMP_/)));
    const half = bytes.length >>> 1;
    socket.push(Uint8Array.from(bytes.subarray(0, half)));
    if (half < bytes.length) socket.push(Uint8Array.from(bytes.subarray(half)));
    socket.push(null);
    await new Promise((resolve) => setImmediate(resolve));
    socket.destroy();
    await client.close();
    await Promise.all(ends);
    assert.match((await client.closed).code, /^QMP_/);
  },
};

let folder: string | null = null;
function socketPath(): string {
  if (folder === null) {
    const made = mkdtempSync(path.join(tmpdir(), 'godwit-fuzz-qmp-'));
    process.once('exit', () => rmSync(made, { recursive: true, force: true }));
    folder = made;
  }
  return path.join(folder, 'q');
}

export const qmpGreeting: FuzzTarget = {
  name: 'qmp-greeting',
  codes: /^QMP_/,
  ...jsonGrammar([GREETING, { return: {}, id: 1 }]),
  inputBytesMax: 8192,
  run: async (bytes) => {
    const server = net.createServer((socket) => {
      socket.on('error', () => undefined);
      const end = bytes.indexOf(10) + 1;
      socket.write(bytes.subarray(0, end));
      // What follows the greeting answers the negotiation.
      if (end === 0) socket.end(bytes);
      else socket.once('data', () => socket.end(bytes.subarray(end)));
      socket.on('end', () => socket.end());
    });
    await new Promise<void>((resolve) => server.listen(socketPath(), resolve));
    try {
      const client = await connectQmp({ path: socketPath(), timeoutMs: 60 });
      await client.close();
    } finally {
      server.close();
    }
  },
};
