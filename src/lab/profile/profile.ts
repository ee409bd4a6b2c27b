/** This machine's profile: each stage measured alone, put together for the simulator. */

import { availableParallelism, cpus } from 'node:os';
import { MIB } from '../../base/index.ts';
import { PROFILE_SCHEMA, type Profile } from '../../simulator/index.ts';
import { makeRunFolder, removeRunFolder } from '../machine/processes.ts';
import { emitCost, encodeCost, storeCost } from './gateway-stages.ts';
import { qemuCost } from './qemu-stages.ts';
import { socketNanoseconds } from './sockets.ts';

const SOCKET_BYTES = 512 * MIB;

export interface ProfileOptions {
  readonly name: string;
  /** Told of each step. */
  readonly log: (text: string) => void;
}

/** Errors: LAB_TOOL_MISSING, LAB_VM_FAILED. */
export async function measureProfile({ name, log }: ProfileOptions): Promise<Profile> {
  const folder = makeRunFolder();
  try {
    const cores = availableParallelism();
    const socket = (isEncrypted: boolean, isReader: boolean) =>
      socketNanoseconds({ folder, isEncrypted, isReader, bytes: SOCKET_BYTES });
    log('sockets');
    const write = await socket(false, false);
    const read = await socket(false, true);
    const tlsWrite = Math.max(0, (await socket(true, false)) - write);
    const tlsRead = Math.max(0, (await socket(true, true)) - read);
    log('stages of the gateway');
    const [store, encode, emit] = [await storeCost(), await encodeCost(), await emitCost()];
    log('QEMU, one stream');
    const stream = await qemuCost(folder, 0);
    log('QEMU, multifd');
    const multifd = await qemuCost(folder, cores);
    const stage = (perByte: number, perZeroPage: number, threads: number) => ({
      nanosecondsPerByte: rounded(perByte),
      nanosecondsPerZeroPage: rounded(perZeroPage),
      threads,
    });
    return {
      schema: PROFILE_SCHEMA,
      name,
      about: `Measured by godwit lab profile: ${cpus()[0]?.model ?? 'unknown processor'}, ${cores} cores, Node ${process.version}. Thread time of each stage alone; QEMU's TLS is taken to cost what the gateway's does.`,
      cores,
      qemu: {
        send: stage(stream.sendNanosecondsPerByte, stream.sendNanosecondsPerZeroPage, 1),
        load: stage(stream.loadNanosecondsPerByte, stream.loadNanosecondsPerZeroPage, 1),
        sendChannels: stage(multifd.sendNanosecondsPerByte, multifd.sendNanosecondsPerZeroPage, cores),
        loadChannels: stage(multifd.loadNanosecondsPerByte, multifd.loadNanosecondsPerZeroPage, cores),
        tlsSendNanosecondsPerByte: rounded(tlsWrite),
        tlsReceiveNanosecondsPerByte: rounded(tlsRead),
      },
      gateway: {
        intake: stage(read + store.nanosecondsPerByte, store.nanosecondsPerZeroPage, 1),
        encode: stage(encode.nanosecondsPerByte, encode.nanosecondsPerZeroPage, cores),
        packNanosecondsPerByte: rounded(encode.packNanosecondsPerByte),
        deltaNanosecondsPerPage: rounded(encode.deltaNanosecondsPerPage),
        send: stage(write, 0, cores),
        receive: stage(read, 0, cores),
        feed: stage(write + emit.nanosecondsPerByte, emit.nanosecondsPerZeroPage, 1),
        tlsSendNanosecondsPerByte: rounded(tlsWrite),
        tlsReceiveNanosecondsPerByte: rounded(tlsRead),
        takesChannels: false,
      },
    };
  } finally {
    removeRunFolder(folder);
  }
}

function rounded(value: number): number {
  return Number(value.toPrecision(3));
}
