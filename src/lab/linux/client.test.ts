/**
 * The client's process against servers of this process: what it asks, what it logs, what it does when cut
 * off.
 */

import assert from 'node:assert/strict';
import { type ChildProcess, spawn } from 'node:child_process';
import { createServer as createHttpServer } from 'node:http';
import { type AddressInfo, createServer, type Server } from 'node:net';
import test, { type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';
import type { ClientLog, ClientOptions } from './client-figures.ts';

const CLIENT = fileURLToPath(new URL('./client.ts', import.meta.url));
const COMMON = { host: '127.0.0.1', connections: 2, valueBytes: 100, paceMs: null } as const;

async function listen(t: TestContext, server: Server): Promise<number> {
  await new Promise<void>((resolve) => server.listen(0, COMMON.host, resolve));
  t.after(() => server.close());
  return (server.address() as AddressInfo).port;
}

function start(t: TestContext, options: ClientOptions): ChildProcess {
  const argv = ['--no-warnings', CLIENT, JSON.stringify(options)];
  const child = spawn(process.execPath, argv, { stdio: ['pipe', 'pipe', 'inherit'] });
  t.after(() => child.kill('SIGKILL'));
  return child;
}

/** Ends the client, and what it logged. */
async function logOf(child: ChildProcess): Promise<ClientLog> {
  let said = '';
  child.stdout!.on('data', (chunk) => {
    said += String(chunk);
  });
  child.stdin!.end();
  await new Promise((resolve) => child.once('close', resolve));
  return JSON.parse(said.split('\n').find((line) => line.startsWith('{')) ?? '') as ClientLog;
}

test('HTTP: whole answers are counted, a refusal is an error', async (t) => {
  const asked = new Set<string>();
  const enough = Promise.withResolvers<void>();
  const server = createHttpServer((request, response) => {
    asked.add(request.url ?? '');
    if (asked.size === 3) enough.resolve();
    response.statusCode = request.url === '/page-2' ? 404 : 200;
    const body = Buffer.alloc(40_000, 'a');
    response.setHeader('content-length', body.length);
    response.end(body);
  });
  const port = await listen(t, server);
  const child = start(t, { ...COMMON, kind: 'http', port, path: 'page', count: 3 });
  await enough.promise;
  const log = await logOf(child);
  server.closeAllConnections();
  assert.deepEqual([...asked].sort(), ['/page-0', '/page-1', '/page-2']);
  assert.ok(log.done.length >= 1 && log.done.every(([atMs, latencyMs]) => atMs > 0 && latencyMs >= 0));
  assert.ok(
    log.errors.every(([, text]) => text === 'HTTP/1.1 404 Not Found'),
    String(log.errors),
  );
});

test('redis: values are set and read, answers in pieces are put together, a cut is an error', async (t) => {
  const enough = Promise.withResolvers<void>();
  let [sets, gets, cut] = [0, 0, false];
  const server = createServer((socket) => {
    socket.on('error', () => undefined);
    socket.on('data', (chunk) => {
      if (chunk.includes('\r\nSET\r\n')) {
        sets++;
        socket.write('+O');
        setTimeout(() => socket.write('K\r\n'), 1);
      } else if (chunk.includes('\r\nGET\r\n')) {
        gets++;
        if (gets === 2 && !cut) {
          cut = true;
          socket.destroy();
        } else socket.write('$5\r\nhello\r\n');
        if (gets > 3) enough.resolve();
      }
    });
  });
  const port = await listen(t, server);
  const child = start(t, { ...COMMON, kind: 'redis', port, path: '', count: 50 });
  await enough.promise;
  const log = await logOf(child);
  assert.ok(sets >= 3 * (gets - 1), `${sets} sets, ${gets} gets`);
  assert.ok(log.done.length >= gets + sets - 4);
  assert.equal(log.errors.length, 1);
});
