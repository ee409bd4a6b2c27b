/**
 * One client of a Linux guest, as a process of its own (in the clients' namespace, so that nothing of the lab
 * delays it): requests over HTTP or to redis, back to back or at a pace, and on the end of its standard input
 * what each took (`ClientLog` as JSON). A connection that breaks is made anew and counts as an error. Not
 * responsible for figures (client-figures.ts).
 */

import { createConnection, type Socket } from 'node:net';
import type { ClientLog, ClientOptions } from './client-figures.ts';

const RETRY_MS = 50;
/** A request that gets no answer for this long counts as an error, and its connection is made anew. */
const REQUEST_TIMEOUT_MS = 30_000;
const DONE_MAX = 4_000_000;

/** How many bytes of an answer are to come, from its beginning; null: not known yet. */
type AnswerLength = (seen: Buffer) => number | null;

interface Kind {
  request(index: number): Buffer;
  readonly answerLength: AnswerLength;
}

const http = (options: ClientOptions): Kind => ({
  request: (index) =>
    Buffer.from(`GET /${options.path}-${index % options.count} HTTP/1.1\r\nHost: guest\r\n\r\n`),
  answerLength(seen) {
    const end = seen.indexOf('\r\n\r\n');
    if (end < 0) return null;
    const head = seen.toString('latin1', 0, end);
    if (!head.startsWith('HTTP/1.1 200')) throw new Error(head.split('\r\n')[0]);
    return end + 4 + Number(/content-length: (\d+)/i.exec(head)?.[1] ?? 0);
  },
});

/** SET of a value that differs each time, and every fourth request a GET. */
const redis = ({ count, valueBytes }: ClientOptions): Kind => {
  const value = Buffer.alloc(valueBytes, 'x');
  return {
    request(index) {
      const key = `key:${(index * 7919) % count}`;
      if (index % 4 === 3) return Buffer.from(`*2\r\n$3\r\nGET\r\n$${key.length}\r\n${key}\r\n`);
      value.writeDoubleLE(Math.random(), (index * 64) % (valueBytes - 8));
      const head = `*3\r\n$3\r\nSET\r\n$${key.length}\r\n${key}\r\n$${value.length}\r\n`;
      return Buffer.concat([Buffer.from(head), value, Buffer.from('\r\n')]);
    },
    answerLength(seen) {
      const end = seen.indexOf('\r\n');
      if (end < 0) return null;
      const line = seen.toString('latin1', 0, end);
      if (line.startsWith('-')) throw new Error(line);
      const bytes = line.startsWith('$') ? Number(line.slice(1)) : -1;
      return bytes < 0 ? end + 2 : end + 2 + bytes + 2;
    },
  };
};

const options = JSON.parse(process.argv[2] ?? '{}') as ClientOptions;
const kind = options.kind === 'http' ? http(options) : redis(options);
const log: { done: [number, number][]; errors: [number, string][] } = { done: [], errors: [] };
let index = 0;
let ending = false;

for (let connection = 0; connection < options.connections; connection++) void converse();
process.stdout.write('running\n');
process.stdin.resume();
process.stdin.once('end', () => {
  ending = true;
  const answer: ClientLog = { done: log.done, errors: log.errors };
  process.stdout.write(`${JSON.stringify(answer)}\n`, () => process.exit(0));
});

async function converse(): Promise<void> {
  while (!ending) {
    try {
      await exchange(await connected());
    } catch (error) {
      if (log.errors.length < DONE_MAX) log.errors.push([Date.now(), String((error as Error).message)]);
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

function connected(): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = createConnection({ host: options.host, port: options.port, noDelay: true });
    socket.setTimeout(REQUEST_TIMEOUT_MS, () => socket.destroy(new Error('no answer')));
    socket.once('connect', () => resolve(socket));
    socket.once('error', reject);
  });
}

/** Requests and answers on one connection until it breaks. */
async function exchange(socket: Socket): Promise<never> {
  const chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>;
  try {
    for (;;) {
      const askedAtMs = Date.now();
      socket.write(kind.request(index++));
      await answered(chunks);
      const nowMs = Date.now();
      if (log.done.length < DONE_MAX) log.done.push([nowMs, nowMs - askedAtMs]);
      const restMs = options.paceMs === null ? 0 : askedAtMs + options.paceMs - nowMs;
      if (restMs > 0) await new Promise((resolve) => setTimeout(resolve, restMs));
    }
  } finally {
    socket.destroy();
  }
}

async function answered(chunks: AsyncIterator<Buffer>): Promise<void> {
  let head = Buffer.alloc(0);
  let seenBytes = 0;
  let length: number | null = null;
  while (length === null || seenBytes < length) {
    const { value, done } = await chunks.next();
    if (done) throw new Error('the guest closed the connection');
    seenBytes += value.length;
    if (length !== null) continue;
    head = Buffer.concat([head, value]);
    length = kind.answerLength(head);
  }
}
