/**
 * Opens the way to the destination QEMU: straight into its incoming socket (single), or over the link to a
 * gateway at its side (paired). Not responsible for what is sent.
 */

import { lookup } from 'node:dns/promises';
import os from 'node:os';
import { defined, errorCode, type GodwitError, systemClock } from '../base/index.ts';
import {
  InThreadEncoding,
  LOAD_TIMEOUT_MS,
  type OutputEvents,
  type PageOutput,
  PairedOutput,
  ReadyMemory,
  SingleOutput,
  WorkerEncoding,
} from '../gateway/index.ts';
import {
  FarSide,
  type FarSideOptions,
  type Forward,
  forwardSocket,
  parseDataAddress,
  resolvedHost,
} from '../remote/index.ts';
import { type LinkWatch, SILENCE_MS_MIN, silentMs, watchLink } from './handover/link-watch.ts';
import { type FarOptions, farGateway, type MigrateOptions, storeBytesMax } from './options.ts';
import type { Preflight } from './preflight/preflight.ts';
import type { IncomingSocket } from './sockets.ts';

export interface Way {
  readonly output: PageOutput;
  isSilent(): boolean;
  /** From now on the VM stands still: see link-watch.ts. */
  watchStopped(downtimeMsMax: number, onSilent: (error: GodwitError) => void): LinkWatch;
  close(): void;
}

export interface WayOptions {
  readonly options: MigrateOptions;
  /** A thread of the destination QEMU, as its own host counts. */
  readonly threadId: number | null;
  /** Where a destination QEMU of this host listens; null: elsewhere. */
  readonly incoming: IncomingSocket | null;
  readonly events: OutputEvents;
  readonly onNote: (text: string) => void;
  /** Has the destination QEMU listen at an address as it names it. */
  readonly listen: (uri: string) => Promise<void>;
  /** Where it listens, as it says itself. */
  readonly listeningAt: () => Promise<readonly string[]>;
  /** Of a destination QEMU that speaks TLS itself; null: it does not. */
  readonly key: Uint8Array | null;
}

/** Errors: DESTINATION_UNREACHABLE, REACH_FAILED, those of the link. */
export async function openWay(way: WayOptions, signal: AbortSignal): Promise<Way> {
  const far = farGateway(way.options.far);
  if (far === null) return openSingle(way, signal);
  const { destinationQmpPath: qmpPath, strategy } = way.options;
  const qemu = { qmpPath, threadId: way.threadId };
  return openPaired({ ...way, far, qemu, incoming: null, keepsReferences: strategy.delta }, signal);
}

async function openSingle(way: WayOptions, signal: AbortSignal): Promise<Way> {
  const { far, destinationAddress: remote } = way.options;
  if (far != null) return openFarQemu(way, far, signal);
  const uri = remote ? `tcp:${remote.listen}` : defined(way.incoming, 'a place to meet').uri;
  await way.listen(uri);
  const address = remote ? `tcp:${remote.connect}` : defined(way.incoming, 'a place to meet').address;
  return qemuWay(await connectSingle(way, address, signal));
}

/** QEMU takes one connection only, so nobody tries the address before. */
async function openFarQemu(way: WayOptions, far: FarOptions, signal: AbortSignal): Promise<Way> {
  const { reach, dataAddress } = far;
  const asked = parseDataAddress(dataAddress);
  const name = asked?.host ?? (await resolvedHost(reach));
  // With both families and any port QEMU would listen on two ports. A name that only ssh knows is taken for
  // one of the older family.
  const { address: host, family } = await lookup(name).catch(() => ({ address: name, family: 4 }));
  await way.listen(`tcp:${family === 6 ? '[::]' : '0.0.0.0'}:${asked?.port ?? 0}`);
  const port = (await way.listeningAt()).map((text) => /^tcp:.*:(\d+)$/.exec(text)?.[1]).find(Boolean);
  try {
    return qemuWay(await connectSingle(way, `tcp:${host}:${port}`, signal));
  } catch (error) {
    const wasRefused = errorCode((error as Error).cause) === 'LINK_TLS';
    if (wasRefused || signal.aborted || reach.host === null || dataAddress !== null) throw error;
  }
  way.onNote(`the data address ${host}:${port} cannot be reached: data goes through ssh, which is slower`);
  const forward = await forwardSocket(reach, `${family === 6 ? '[::1]' : '127.0.0.1'}:${port}`, signal);
  try {
    return qemuWay(await connectSingle(way, `unix:${forward.path}`, signal), forward);
  } catch (error) {
    forward.close();
    throw error;
  }
}

async function connectSingle(way: WayOptions, address: string, signal: AbortSignal): Promise<SingleOutput> {
  const output = new SingleOutput(
    {
      address,
      key: way.key,
      clock: systemClock,
      prepareTimeoutMs: LOAD_TIMEOUT_MS,
      keepsReferences: way.options.strategy.delta,
    },
    way.events,
  );
  await output.connect(signal);
  return output;
}

/**
 * Without a gateway there, the connection is QEMU's own. It cannot be opened again, so there is nothing to
 * watch.
 */
function qemuWay(output: SingleOutput, forward: Forward | null = null): Way {
  return {
    output,
    isSilent: () => false,
    watchStopped: () => ({ close: () => undefined }),
    close() {
      output.close();
      forward?.close();
    },
  };
}

export interface PairedOptions extends Pick<WayOptions, 'events' | 'onNote' | 'listen'> {
  readonly far: FarOptions;
  /** As FarSideOptions have them. */
  readonly qemu: FarSideOptions['qemu'];
  readonly incoming: FarSideOptions['incoming'];
  readonly keepsReferences: boolean;
}

/** Errors: REACH_FAILED, those of the link. */
export async function openPaired(way: PairedOptions, signal: AbortSignal): Promise<Way> {
  const { far } = way;
  const side = await FarSide.start(
    {
      ...far,
      ...{ qemu: way.qemu, incoming: way.incoming },
      onNote: way.onNote,
      onEvent: (event) => {
        if (event.kind === 'disconnected')
          way.onNote(`connection ${event.lane} broke (${event.reason}); dialling again`);
        if (event.kind === 'connected' && event.epoch > 1) way.onNote(`connection ${event.lane} is back`);
      },
    },
    signal,
  );
  try {
    await way.listen(side.incoming);
    await side.feed(signal);
  } catch (error) {
    side.close();
    throw error;
  }
  const encoding = far.workers > 0 ? new WorkerEncoding(far.workers) : new InThreadEncoding();
  const output = new PairedOutput(
    {
      link: side.link,
      encoding,
      clock: systemClock,
      // The far gateway keeps the time; its answer may be held up by the link.
      prepareTimeoutMs: LOAD_TIMEOUT_MS + far.linkTimeoutMs,
      keepsReferences: way.keepsReferences,
    },
    way.events,
  );
  side.onMessage = (message) => output.onMessage(message);
  void side.link.closed.then((error) => output.onClosed(error));
  side.failed.catch((error: Error) => output.onClosed(error));
  return {
    output,
    isSilent: () => silentMs(side.link.stats(), systemClock.nowMs()) > SILENCE_MS_MIN,
    watchStopped: (downtimeMsMax, onSilent) =>
      watchLink({ stats: () => side.link.stats(), clock: systemClock, downtimeMsMax, onSilent }),
    close() {
      output.close();
      side.close();
    },
  };
}

/**
 * Touched while the other host starts its gateway and this host has nothing to do. null where there is no
 * other host: then the start of the guardian needs the processor.
 */
export function readyMemory(options: MigrateOptions, { memory }: Preflight): ReadyMemory | null {
  return farGateway(options.far) === null ? null : new ReadyMemory(storeBytesMax(options), memory.guestBytes);
}

/** How many threads encode unless the operator says: one core is left to the thread that parses. */
export function defaultWorkers(): number {
  return Math.max(1, Math.min(8, os.availableParallelism() - 1));
}
