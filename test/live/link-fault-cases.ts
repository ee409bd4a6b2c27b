/**
 * The faults of a link, each with how its migration must end. Not responsible
 * for running them (link-fault-rig.ts).
 */

import { connect as connectSocket, createServer, type Socket } from 'node:net';
import tls from 'node:tls';
import { MIB, sleep } from '../../src/base/index.ts';
import type { MigrationReport } from '../../src/controller/index.ts';
import { Link, type TlsCredentials, tlsDial } from '../../src/link/index.ts';
import { type FaultCase, killFar, type Scene } from './link-fault-rig.ts';

/** The first line of what the far gateway is told is kept; nothing is changed. */
const KEEP_HELLO = 'p;d';
const CUTS_MS = [2000, 3500, 5000];
const BETWEEN_MS = 1500;

async function cutThrice(scene: Scene, withBreak: boolean): Promise<void> {
  for (const downMs of CUTS_MS) {
    await sleep(BETWEEN_MS);
    await scene.setLink('down');
    if (withBreak) await scene.breakConnections();
    await sleep(downMs);
    await scene.setLink('up');
  }
  scene.seen['cutsMs'] = CUTS_MS;
}

async function cutFor(scene: Scene, downMs: number): Promise<void> {
  await scene.setLink('down');
  await sleep(downMs);
  await scene.setLink('up');
}

/** What may have been under way on every connection, each time it broke. */
const RESENT_BYTES_MAX = CUTS_MS.length * 2 * MIB;

function tooMuchResent(report: MigrationReport | null): string[] {
  return (report?.link?.resentBytes ?? 0) <= RESENT_BYTES_MAX ? [] : ['more was resent than was under way'];
}

export const FAULT_CASES: readonly FaultCase[] = [
  {
    id: 'cut three times',
    expect: 'moved',
    codes: [null],
    onStep: (step, scene) => (step === 'layout' ? cutThrice(scene, false) : undefined),
    complaints: tooMuchResent,
  },
  {
    id: 'cut three times, every connection reset',
    expect: 'moved',
    codes: [null],
    onStep: (step, scene) => (step === 'layout' ? cutThrice(scene, true) : undefined),
    complaints: (report) => [
      ...((report?.link?.reconnects ?? 0) >= 6 ? [] : ['fewer than six reconnects']),
      ...tooMuchResent(report),
    ],
  },
  {
    id: 'silent for 12 s',
    expect: 'moved',
    codes: [null],
    onStep: (step, scene) => (step === 'layout' ? sleep(1000).then(() => cutFor(scene, 12_000)) : undefined),
    complaints: (report) => ((report?.link?.reconnects ?? 0) >= 2 ? [] : ['nothing was opened again']),
  },
  {
    id: 'cut for 5 s while the VM stands still',
    expect: 'stayed',
    codes: ['LINK_SILENT'],
    onStep: (step, scene) => (step === 'stop-and-copy' ? cutFor(scene, 5000) : undefined),
  },
  {
    id: 'cut for 5 s while the VM stands still, and the limit allows it',
    expect: 'moved',
    codes: [null],
    downtimeMsMax: 20_000,
    onStep: (step, scene) => (step === 'stop-and-copy' ? cutFor(scene, 5000) : undefined),
  },
  {
    id: 'far host lost while the VM stands still',
    expect: 'stayed',
    codes: ['LINK_SILENT'],
    onStep: (step, scene) => {
      if (step === 'stop-and-copy') return scene.setLink('down');
      return step === 'end' ? scene.setLink('up') : undefined;
    },
  },
  {
    id: 'far gateway killed before the stop',
    expect: 'stayed',
    codes: ['REACH_FAILED', 'DESTINATION_CLOSED'],
    onStep: (step, scene) => (step === 'layout' ? sleep(2000).then(() => killFar(scene)) : undefined),
  },
  ...(['stop-and-copy', 'drained', 'loaded', 'prepared'] as const).map(
    (moment): FaultCase => ({
      id: `far gateway killed at "${moment}"`,
      // With everything loaded and proved its work is done.
      expect: moment === 'loaded' || moment === 'prepared' ? 'moved' : 'stayed',
      codes: moment === 'loaded' || moment === 'prepared' ? [null] : ['REACH_FAILED', 'DESTINATION_CLOSED'],
      onStep: (step, scene) => {
        if (step === moment) killFar(scene);
        return undefined;
      },
    }),
  ),
  {
    id: 'wrong key',
    expect: 'stayed',
    codes: ['LINK_TLS'],
    editHello: '1s/"key":"[0-9a-f]\\{4\\}/"key":"0000/',
  },
  {
    id: 'wrong migration',
    expect: 'stayed',
    codes: ['LINK_MIGRATION'],
    editHello: '1s/"migrationId":"[0-9a-f]\\{4\\}/"migrationId":"0000/',
  },
  {
    id: 'wrong peer: a certificate instead of the key',
    expect: 'stayed',
    codes: ['LINK_TLS'],
    dataAddress: impostor,
  },
  {
    id: 'corrupted on the way',
    expect: 'stayed',
    codes: ['LINK_TLS'],
    dataAddress: (scene) => openTap(scene, { flipAtBytes: 6 * MIB }),
  },
  {
    id: 'intruders: wrong key, no key, replayed bytes, replayed greeting, another migration',
    expect: 'moved',
    codes: [null],
    editHello: KEEP_HELLO,
    dataAddress: (scene) => openTap(scene, {}),
    onStep: (step, scene) => (step === 'layout' ? intrude(scene) : undefined),
    complaints: (_report, { seen }) => {
      const wanted = {
        wrongKey: 'LINK_TLS',
        noKey: 'LINK_TLS',
        replayedBytes: 'closed',
        replayedGreeting: 'LINK_EPOCH',
        otherMigration: 'LINK_MIGRATION',
      };
      return Object.entries(wanted)
        .filter(([name, code]) => seen[name] !== code)
        .map(([name, code]) => `${name}: ${String(seen[name])} instead of ${code}`);
    },
  },
];

/** A server at the data address that has no key. */
async function impostor(scene: Scene): Promise<string> {
  // The only certificate at hand without another tool is none: it answers with a handshake
  // that offers no key.
  const server = tls.createServer({ minVersion: 'TLSv1.3', ciphers: 'TLS_AES_128_GCM_SHA256' });
  server.on('tlsClientError', (error) => {
    scene.seen['impostorHeard'] ??= (error as NodeJS.ErrnoException).code;
  });
  const port = await listening(server);
  return `127.0.0.1:${port}`;
}

interface TapOptions {
  /** One bit of the source's bytes is flipped there. */
  readonly flipAtBytes?: number;
}

let recorded: Buffer[] = [];
/** The last case's: it listens on the same port. */
let tap: ReturnType<typeof createServer> | null = null;

/** A machine in the middle: hands bytes on, keeps what the first connection said. */
async function openTap(scene: Scene, { flipAtBytes }: TapOptions): Promise<string> {
  recorded = [];
  if (tap !== null) await new Promise((resolve) => tap!.close(resolve));
  let connections = 0;
  let flipped = false;
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connectSocket({ host: scene.ssh.address, port: scene.dataPort, allowHalfOpen: true });
    // The first is the question whether anybody answers.
    const isFirst = ++connections === 2;
    let bytes = 0;
    near.on('data', (chunk) => {
      if (isFirst && bytes < MIB) recorded.push(Buffer.from(chunk));
      bytes += chunk.length;
      if (flipAtBytes !== undefined && !flipped && bytes > flipAtBytes) {
        flipped = true;
        chunk[0]! ^= 1;
      }
      if (!far.write(chunk)) near.pause();
    });
    far.on('drain', () => near.resume());
    far.pipe(near);
    near.on('end', () => far.end());
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  // The far gateway listens on the port that is named, so both have the same number.
  tap = server;
  await listening(server, scene.dataPort);
  return `127.0.0.1:${scene.dataPort}`;
}

function listening(server: ReturnType<typeof createServer>, port = 0): Promise<number> {
  server.unref();
  return new Promise((resolve, reject) => {
    server.once('error', reject);
    server.listen(port, '127.0.0.1', () => {
      const bound = server.address();
      resolve(typeof bound === 'object' && bound !== null ? bound.port : 0);
    });
  });
}

async function intrude(scene: Scene): Promise<void> {
  await sleep(1000);
  const { key, migrationId, lanes } = scene.hello();
  const right: TlsCredentials = { kind: 'psk', key: Buffer.from(key, 'hex') };
  const wrong: TlsCredentials = { kind: 'psk', key: Buffer.alloc(32, 1) };
  const id = Buffer.from(migrationId, 'hex');
  scene.seen['wrongKey'] = await visit(scene, wrong, id, lanes);
  scene.seen['noKey'] = await visitPlainly(scene);
  scene.seen['replayedBytes'] = await replay(scene);
  scene.seen['replayedGreeting'] = await visit(scene, right, id, lanes);
  scene.seen['otherMigration'] = await visit(scene, right, Buffer.alloc(16, 2), lanes);
}

/** How a link of that key and id is refused. */
async function visit(scene: Scene, credentials: TlsCredentials, id: Buffer, lanes: number): Promise<string> {
  const link = new Link({
    migrationId: id,
    laneCount: lanes,
    capabilities: { role: 'source', codecMask: 1, pageSizeBytes: 4096 },
    onMessage: () => undefined,
  });
  link.dial(tlsDial({ host: scene.ssh.address, port: scene.dataPort }, credentials));
  return (await link.closed)?.code ?? 'in';
}

function visitPlainly(scene: Scene): Promise<string> {
  return new Promise((resolve) => {
    const socket = tls.connect({ host: scene.ssh.address, port: scene.dataPort, rejectUnauthorized: false });
    socket.on('secureConnect', () => resolve('in'));
    socket.on('error', (error) =>
      resolve(/SSL|alert|handshake/i.test(error.message) ? 'LINK_TLS' : error.message),
    );
    socket.on('close', () => resolve('closed'));
  });
}

/** The recorded bytes again: what the far gateway answers ends with its refusal. */
function replay(scene: Scene): Promise<string> {
  return new Promise((resolve) => {
    const socket: Socket = connectSocket({ host: scene.ssh.address, port: scene.dataPort });
    socket.on('connect', () => socket.write(Buffer.concat(recorded)));
    socket.on('data', () => undefined);
    socket.on('error', () => undefined);
    socket.on('close', () => resolve(recorded.length === 0 ? 'nothing was recorded' : 'closed'));
    setTimeout(() => resolve('still open'), 12_000).unref();
  });
}
