/** Lines between a controller and the far side, both ways, and what comes before anybody is known. */

import assert from 'node:assert/strict';
import type { TransportHandlers } from '../../../src/link/index.ts';
import { LineStream } from '../../../src/remote/line-stream.ts';
import {
  LINE_BYTES_MAX,
  LineCutter,
  parseLine,
  receiveEvent,
  receiveHello,
  receiveOpening,
  receiveRequest,
} from '../../../src/remote/messages.ts';
import type { FuzzTarget } from '../target.ts';
import { jsonGrammar } from './json-lines.ts';

const ID = '00112233445566778899aabbccddeeff';
const HELLO = {
  godwit: 1,
  migrationId: ID,
  key: ID + ID,
  lanes: 4,
  linkTimeoutMs: 60_000,
  listen: { host: null, port: 0 },
};
const EXAMPLES = [
  HELLO,
  { godwit: 1, open: 'control', hello: HELLO },
  { godwit: 1, open: 'qmp', session: ID },
  { godwit: 1, open: 'end', session: ID, outcome: 'completed' },
  { do: 'feed' },
  { event: 'listening', version: '1', port: 4444, incoming: 'unix:/run/in.sock' },
  { event: 'complete', pages: 12 },
  { event: 'error', code: 'X_Y', text: 'why' },
];
const SCHEMAS = [receiveHello, receiveOpening, receiveRequest, receiveEvent];

/** A transport that says what it is told to say. */
function scripted() {
  const heard: { handlers: TransportHandlers | null } = { handlers: null };
  const inner = {
    description: 'scripted',
    open: (handlers: TransportHandlers) => void (heard.handlers = handlers),
    write: () => true,
    end: () => undefined,
    destroy: () => undefined,
    setReading: () => undefined,
  };
  return { stream: new LineStream(inner), say: () => heard.handlers! };
}

async function linesOf(bytes: Uint8Array): Promise<string[]> {
  const { stream, say } = scripted();
  const half = bytes.length >>> 1;
  say().onData(bytes.subarray(0, half));
  say().onData(bytes.subarray(half));
  say().onClosed(null);
  const lines: string[] = [];
  try {
    for (;;) lines.push(await stream.readLine(new AbortController().signal));
  } catch (error) {
    assert.match(String((error as { code?: string }).code), /^(RECEIVE_PROTOCOL|CHANNEL_CLOSED)$/);
    return lines;
  }
}

export const farLines: FuzzTarget = {
  name: 'far-lines',
  codes: /^RECEIVE_PROTOCOL$/,
  ...jsonGrammar(EXAMPLES),
  inputBytesMax: 200 * 1024,
  run: async (bytes) => {
    for (const line of await linesOf(bytes)) assert.ok(line.length <= LINE_BYTES_MAX);
    const text = Buffer.from(bytes).toString('utf8');
    const cutter = new LineCutter();
    const lines = [...cutter.push(text.slice(0, 7)), ...cutter.push(text.slice(7))];
    let refused: unknown = null;
    for (const line of lines) {
      for (const schema of SCHEMAS) {
        try {
          parseLine(schema, line);
        } catch (error) {
          refused = error;
          if (!/^RECEIVE_PROTOCOL$/.test((error as { code: string }).code)) throw error;
        }
      }
    }
    if (refused !== null) throw refused;
  },
};
