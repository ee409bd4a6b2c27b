/**
 * The way of a page from the guest's memory to the destination's, as stages that share the cores of each end:
 * how long a batch of pages takes, and so what the slowest stage carries. Pure arithmetic on a profile.
 */

import { type Arrangement, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { Profile, StageCost } from './profile.ts';

/** Pages of one batch, by what they are. */
export interface BatchPages {
  readonly wholePages: number;
  /** Sent as what changed. */
  readonly deltaPages: number;
  readonly zeroPages: number;
}

interface Stage {
  readonly name: string;
  readonly wholeNanoseconds: number;
  readonly deltaNanoseconds: number;
  readonly zeroNanoseconds: number;
  readonly threads: number;
}

/** One end's stages between two queues. */
export interface Leg {
  readonly stages: readonly Stage[];
  readonly cores: number;
}

function work(stage: Stage, pages: BatchPages): number {
  return (
    pages.wholePages * stage.wholeNanoseconds +
    pages.deltaPages * stage.deltaNanoseconds +
    pages.zeroPages * stage.zeroNanoseconds
  );
}

/** The slowest stage counts, or the cores that all of them share. */
export function legMs(leg: Leg, pages: BatchPages): number {
  let slowest = 0;
  let total = 0;
  for (const stage of leg.stages) {
    const nanoseconds = work(stage, pages);
    slowest = Math.max(slowest, nanoseconds / stage.threads);
    total += nanoseconds;
  }
  return Math.max(slowest, total / leg.cores) / 1e6;
}

/** What limits `leg` for such pages: a stage's name, or `cores`. */
export function limitOfLeg(leg: Leg, pages: BatchPages): string {
  const ms = legMs(leg, pages);
  const found = leg.stages.find((stage) => work(stage, pages) / stage.threads / 1e6 >= ms * 0.999);
  return found?.name ?? 'cores';
}

export interface StageOptions {
  readonly tlsNanosecondsPerByte?: number;
  /** Bytes of a whole page and a delta that this stage handles; default: the page, and nothing. */
  readonly wholeBytes?: number;
  readonly deltaNanoseconds?: number;
}

function stageOf(name: string, cost: StageCost, options: StageOptions = {}): Stage {
  const { tlsNanosecondsPerByte = 0, wholeBytes = PAGE_SIZE_BYTES } = options;
  const wholeNanoseconds = wholeBytes * (cost.nanosecondsPerByte + tlsNanosecondsPerByte);
  return {
    name,
    wholeNanoseconds,
    // A record and its place in QEMU's memory cost about what a zero page's do.
    deltaNanoseconds: options.deltaNanoseconds ?? cost.nanosecondsPerZeroPage,
    zeroNanoseconds: cost.nanosecondsPerZeroPage,
    threads: cost.threads,
  };
}

/** A gateway's way: reading QEMU runs apart from sending, and both take cores of the source. */
export interface Way {
  /** Source QEMU and intake. */
  readonly handOver: Leg;
  /** From the store to the link. */
  readonly send: Leg;
  /** From the link into the destination QEMU's memory. */
  readonly far: Leg;
}

export interface WayOptions {
  readonly arrangement: Arrangement;
  /** Of a whole page on the link. */
  readonly wholeBytes: number;
  /** Whole pages are packed. */
  readonly packs: boolean;
}

export function gatewayWay(profile: Profile, { arrangement, wholeBytes, packs }: WayOptions): Way {
  const { qemu, gateway, cores } = profile;
  const channels = gateway.takesChannels;
  const paired = arrangement === 'paired';
  // QEMU reads a rewritten page as it reads any other, and the gateway takes it as it comes.
  const taken = (name: string, cost: StageCost) =>
    stageOf(name, cost, { deltaNanoseconds: PAGE_SIZE_BYTES * cost.nanosecondsPerByte });
  const handOver = [
    taken('QEMU', channels ? qemu.sendChannels : qemu.send),
    taken('intake', channels ? gateway.intake : { ...gateway.intake, threads: 1 }),
  ];
  const loads = stageOf('QEMU loading', channels ? qemu.loadChannels : qemu.load);
  if (!paired) {
    const sends = channels ? gateway.send : { ...gateway.send, threads: 1 };
    const send = stageOf('send', sends, { deltaNanoseconds: gateway.deltaNanosecondsPerPage });
    return {
      handOver: { stages: handOver, cores },
      send: { stages: [send], cores },
      far: { stages: [loads], cores },
    };
  }
  const encode = stageOf(
    'encode',
    packs
      ? {
          ...gateway.encode,
          nanosecondsPerByte: gateway.encode.nanosecondsPerByte + gateway.packNanosecondsPerByte,
        }
      : gateway.encode,
    { deltaNanoseconds: gateway.deltaNanosecondsPerPage },
  );
  const tlsSend = { tlsNanosecondsPerByte: gateway.tlsSendNanosecondsPerByte, wholeBytes };
  const tlsReceive = { tlsNanosecondsPerByte: gateway.tlsReceiveNanosecondsPerByte, wholeBytes };
  const far = [
    stageOf('receive', gateway.receive, tlsReceive),
    stageOf('feed', channels ? gateway.feed : { ...gateway.feed, threads: 1 }),
    loads,
  ];
  return {
    handOver: { stages: handOver, cores },
    send: { stages: [encode, stageOf('send', gateway.send, tlsSend)], cores },
    far: { stages: far, cores },
  };
}

/**
 * Plain QEMU's: one stream, or multifd. Nothing waits in between, so that the whole way is one leg an
 * end.
 */
export function qemuWay(profile: Profile, isMultifd: boolean, isEncrypted: boolean): Way {
  const { qemu, cores } = profile;
  const tls = (nanoseconds: number) => ({ tlsNanosecondsPerByte: isEncrypted ? nanoseconds : 0 });
  const send = stageOf(
    'QEMU',
    isMultifd ? qemu.sendChannels : qemu.send,
    tls(qemu.tlsSendNanosecondsPerByte),
  );
  const load = stageOf(
    'QEMU loading',
    isMultifd ? qemu.loadChannels : qemu.load,
    tls(qemu.tlsReceiveNanosecondsPerByte),
  );
  const source = { stages: [send], cores };
  return { handOver: source, send: source, far: { stages: [load], cores } };
}
