/**
 * What a QEMU takes of its threads to send memory and to load it: two real ones, whose VM never runs, so that
 * their processor time is the migration's.
 */

import { once } from 'node:events';
import { createWriteStream, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GIB, MIB, Prng, sleep } from '../../base/index.ts';
import {
  migrate,
  migrateIncoming,
  migrateSetCapabilities,
  migrateSetParameters,
  queryMigrate,
} from '../../qmp/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import { labError } from '../errors.ts';
import { GUEST_BINARY_PATH } from '../guest/index.ts';
import { startVm, type Vm } from '../machine/vm.ts';

const MEMORY_BYTES = 1024 * MIB;
const FILLED_BYTES = 640 * MIB;
const FILLED_AT = 128 * MIB;
const POLL_MS = 20;
const TIMEOUT_MS = 60_000;
/** Linux counts a process's time in these, whatever its kernel's own clock. */
const TICKS_PER_SECOND = 100;

export interface QemuCost {
  readonly sendNanosecondsPerByte: number;
  readonly sendNanosecondsPerZeroPage: number;
  readonly loadNanosecondsPerByte: number;
  readonly loadNanosecondsPerZeroPage: number;
}

/** `channels` 0: the one stream. */
export async function qemuCost(folder: string, channels: number): Promise<QemuCost> {
  const noise = join(folder, 'noise.bin');
  await writeNoise(noise);
  const zero = await moveOnce(join(folder, `z${channels}`), channels, null, folder);
  const filled = await moveOnce(join(folder, `f${channels}`), channels, noise, folder);
  const zeroPages = MEMORY_BYTES / PAGE_SIZE_BYTES;
  const restShare = 1 - FILLED_BYTES / MEMORY_BYTES;
  const perByte = (all: number, zeros: number) => Math.max(0, all - zeros * restShare) / FILLED_BYTES;
  return {
    sendNanosecondsPerByte: perByte(filled.sent, zero.sent),
    sendNanosecondsPerZeroPage: zero.sent / zeroPages,
    loadNanosecondsPerByte: perByte(filled.loaded, zero.loaded),
    loadNanosecondsPerZeroPage: zero.loaded / zeroPages,
  };
}

async function writeNoise(path: string): Promise<void> {
  const prng = new Prng(1);
  const chunk = Buffer.allocUnsafe(4 * MIB);
  for (let at = 0; at < chunk.length; at += 4) chunk.writeUInt32LE(prng.u32(), at);
  const file = createWriteStream(path);
  for (let left = FILLED_BYTES; left > 0; left -= chunk.length)
    if (!file.write(chunk)) await once(file, 'drain');
  file.end();
  await once(file, 'close');
}

interface Nanoseconds {
  readonly sent: number;
  readonly loaded: number;
}

async function moveOnce(
  name: string,
  channels: number,
  noise: string | null,
  folder: string,
): Promise<Nanoseconds> {
  const extra =
    noise === null
      ? []
      : ['-device', `loader,file=${noise.replaceAll(',', ',,')},addr=${FILLED_AT},force-raw=on`];
  const common = { folder, kernel: GUEST_BINARY_PATH, commandLine: '', memoryBytes: MEMORY_BYTES, extra };
  const short = name.slice(folder.length + 1);
  const source = await startVm({ ...common, name: `${short}a`, paused: true });
  let destination: Vm | null = null;
  try {
    destination = await startVm({ ...common, name: `${short}b`, paused: true, incoming: true });
    return await moved(source, destination, channels, `unix:${join(folder, `${short}.sock`)}`);
  } finally {
    await source.close();
    await destination?.close();
  }
}

async function moved(source: Vm, destination: Vm, channels: number, uri: string): Promise<Nanoseconds> {
  if (channels > 0) {
    for (const { qmp } of [source, destination]) {
      await migrateSetCapabilities(qmp, new Map([['multifd', true]]));
      await migrateSetParameters(qmp, new Map([['multifd-channels', channels]]));
    }
  }
  await migrateSetParameters(source.qmp, new Map([['max-bandwidth', 64 * GIB]]));
  await migrateIncoming(destination.qmp, uri);
  const before = [processNanoseconds(source), processNanoseconds(destination)] as const;
  await migrate(source.qmp, uri);
  for (let waitedMs = 0; ; waitedMs += POLL_MS) {
    const { status } = await queryMigrate(source.qmp);
    if (status === 'completed') break;
    if (status === 'failed' || waitedMs > TIMEOUT_MS)
      throw labError('LAB_VM_FAILED', `a move for the profile is "${status}"`);
    await sleep(POLL_MS);
  }
  return {
    sent: processNanoseconds(source) - before[0],
    loaded: processNanoseconds(destination) - before[1],
  };
}

/** Of all threads, those that have ended among them. */
function processNanoseconds({ process: { pid } }: Vm): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1');
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  return ((Number(fields[11]) + Number(fields[12])) * 1e9) / TICKS_PER_SECOND;
}
