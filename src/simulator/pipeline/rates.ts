/**
 * What one migration's pipeline carries: how long QEMU takes to hand pages over, and how long the slowest
 * stage behind takes to send them. Pure.
 */

import { type Arrangement, PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { Profile } from './profile.ts';
import { type BatchPages, gatewayWay, type Leg, legMs, limitOfLeg, qemuWay, type Way } from './way.ts';

const WHOLE: BatchPages = { wholePages: 1, deltaPages: 0, zeroPages: 0 };
const DELTA: BatchPages = { wholePages: 0, deltaPages: 1, zeroPages: 0 };
const ZERO: BatchPages = { wholePages: 0, deltaPages: 0, zeroPages: 1 };

export interface Pipeline {
  /** QEMU and the intake, while pages are sent besides. */
  handOverMs(pages: BatchPages): number;
  /** The slowest of encoders, senders and the far side; the link is not in it. */
  sendMs(pages: BatchPages): number;
  /** Bytes of whole pages on the link that the pipeline carries in a second, whatever the link does. */
  readonly bytesPerSecond: number;
  readonly handOverPagesPerSecond: number;
  /** Rewritten pages a second, where they go as deltas. */
  readonly deltaPagesPerSecond: number;
  readonly zeroPagesPerSecond: number;
  /** What limits whole pages where the link does not. */
  readonly limit: string;
}

export interface PipelineQuestion {
  readonly arrangement: Arrangement;
  readonly wholeBytes: number;
  readonly packs: boolean;
  readonly linkBytesPerSecond: number;
}

/** Both at once on the cores that they share. */
function together(first: Leg, second: Leg): Leg {
  return { stages: [...first.stages, ...second.stages], cores: first.cores };
}

export function gatewayPipeline(profile: Profile, question: PipelineQuestion): Pipeline {
  const way = gatewayWay(profile, question);
  const { wholeBytes, linkBytesPerSecond } = question;
  const source = together(way.handOver, way.send);
  // In the long run as much is sent as is handed over, and both take the source's cores.
  const wholeMs = Math.max(legMs(source, WHOLE), legMs(way.far, WHOLE));
  const sendingMs = Math.max(wholeMs, (wholeBytes * 1000) / linkBytesPerSecond);
  const sendingCores = coreMs(way.send, WHOLE) / sendingMs;
  const reader: Leg = { ...way.handOver, cores: Math.max(CORES_LEFT_MIN, way.handOver.cores - sendingCores) };
  return pipelineOf(
    reader,
    (pages) => Math.max(sendsFasterThan(way, wholeMs, pages), legMs(way.far, pages)),
    wholeBytes,
    limitOf(source, way.far),
  );
}

/** A host that sends at full speed still reads a little. */
const CORES_LEFT_MIN = 0.25;

/** Sending alone, but for whole pages never faster than both ends keep up with. */
function sendsFasterThan(way: Way, wholeMs: number, pages: BatchPages): number {
  return Math.max(legMs(way.send, pages), pages.wholePages * wholeMs);
}

/** Of all cores together. */
function coreMs(leg: Leg, pages: BatchPages): number {
  return legMs(
    { stages: leg.stages.map((stage) => ({ ...stage, threads: Number.POSITIVE_INFINITY })), cores: 1 },
    pages,
  );
}

/** The better of one stream and multifd, with the same cores; encrypted where ours is. */
export function qemuPipeline(profile: Profile, arrangement: Arrangement): Pipeline {
  const wholeBytes = PAGE_SIZE_BYTES + 8;
  const made = [false, true]
    .filter((isMultifd) => !isMultifd || profile.qemu.sendChannels.threads > 1)
    .map((isMultifd) => {
      const way = qemuWay(profile, isMultifd, arrangement === 'paired');
      const sendMs = (pages: BatchPages) => Math.max(legMs(way.send, pages), legMs(way.far, pages));
      return pipelineOf(way.handOver, sendMs, wholeBytes, limitOf(way.send, way.far));
    });
  return made.reduce((best, one) => (one.bytesPerSecond > best.bytesPerSecond ? one : best));
}

function limitOf(source: Leg, far: Leg): string {
  const isFar = legMs(far, WHOLE) > legMs(source, WHOLE);
  return isFar
    ? `${limitOfLeg(far, WHOLE)} at the destination`
    : `${limitOfLeg(source, WHOLE)} at the source`;
}

function pipelineOf(
  reader: Leg,
  sendMs: (pages: BatchPages) => number,
  wholeBytes: number,
  limit: string,
): Pipeline {
  const perSecond = (ms: number) => 1000 / ms;
  return {
    handOverMs: (pages) => legMs(reader, pages),
    sendMs,
    bytesPerSecond: wholeBytes * perSecond(sendMs(WHOLE)),
    handOverPagesPerSecond: perSecond(legMs(reader, WHOLE)),
    deltaPagesPerSecond: perSecond(sendMs(DELTA)),
    zeroPagesPerSecond: perSecond(sendMs(ZERO)),
    limit,
  };
}
