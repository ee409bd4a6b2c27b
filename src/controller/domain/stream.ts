/**
 * What stands between the two QEMUs of a domain's move: the gateway, and the way to where the destination's
 * QEMU listens. Not responsible for when libvirt is asked to begin.
 */

import { systemClock } from '../../base/index.ts';
import { LOAD_TIMEOUT_MS, type OutputEvents, SingleOutput, SourceGateway } from '../../gateway/index.ts';
import { forwardSocket } from '../../remote/index.ts';
import { openPaired, type Way } from '../arrangement.ts';
import { openRecording, type Recording } from '../assess/recording.ts';
import { storeBytesMax } from '../options.ts';
import type { MigrateDomainOptions } from './options.ts';

/** What libvirt sets in QEMU (docs/libvirt.md). */
const CAPABILITIES: ReadonlySet<string> = new Set([
  'return-path',
  'switchover-ack',
  'pause-before-switchover',
  'events',
]);

/** ssh's login, godwit's start over there, and libvirt's start of a QEMU. */
const FAR_TIMEOUT_MS = 120_000;

export interface DomainStreamEvents {
  onLayout(pageCount: number): void;
  onStateComplete(): void;
  onError(error: Error): void;
}

export interface ConnectOptions {
  /** Where the destination's QEMU makes its socket, on its host. */
  readonly incoming: string;
  /** Has it listen there. */
  readonly listen: () => Promise<void>;
  readonly onError: (error: Error) => void;
  readonly onNote: (text: string) => void;
}

/** `close` may be called at any moment, also while it is being made. */
export class DomainStream {
  way: Way | null = null;
  gateway: SourceGateway | null = null;
  recording: Recording | null = null;

  /** Until the destination's QEMU is connected. Errors: those of Prepare, of ssh and of the link. */
  async connect(options: MigrateDomainOptions, way: ConnectOptions, signal: AbortSignal): Promise<void> {
    const { far } = options.destination;
    const events: OutputEvents = {
      onRoom: () => this.gateway?.pump(),
      onReturnPath: (message, raw) => this.gateway?.onReturnPath(message, raw),
      onError: way.onError,
    };
    const { delta } = options.strategy;
    this.way =
      far === null
        ? await openSingle(options, way, events)
        : await openPaired(
            { ...way, ...{ far, events, qemu: null, keepsReferences: delta } },
            AbortSignal.any([signal, AbortSignal.timeout(FAR_TIMEOUT_MS)]),
          );
  }

  /** The source's QEMU is awaited at `outgoing`. */
  async listen(
    options: MigrateDomainOptions,
    { outgoing, ackGate }: { readonly outgoing: string; readonly ackGate: boolean },
    events: DomainStreamEvents,
  ): Promise<SourceGateway> {
    this.recording = openRecording(options.recordPath ?? null);
    this.gateway = new SourceGateway(
      this.way!.output,
      {
        listenPath: outgoing,
        // libvirt's daemon connects, as whoever it is, and hands QEMU the connection.
        admitQemu: () => undefined,
        capabilities: CAPABILITIES,
        clock: systemClock,
        memoryBytesMax: storeBytesMax({ ...options, far: options.destination.far }),
        absorb: options.strategy.absorb,
        deltas: options.strategy.delta,
        record: this.recording?.write ?? null,
        ackGate,
        bandwidthBytesPerSecondMax: options.bandwidthBytesPerSecondMax,
      },
      {
        onLayout: (setup) => events.onLayout(setup.layout.pageCount),
        onStateComplete: () => events.onStateComplete(),
        onError: (error) => events.onError(error),
      },
    );
    await this.gateway.listen();
    return this.gateway;
  }

  close(): void {
    this.gateway?.close();
    this.way?.close();
  }
}

/** Straight into the socket of the destination's QEMU, here or through ssh. */
async function openSingle(
  { destination: { reach }, strategy }: MigrateDomainOptions,
  { incoming, listen }: ConnectOptions,
  events: OutputEvents,
): Promise<Way> {
  await listen();
  const signal = AbortSignal.timeout(LOAD_TIMEOUT_MS);
  const forward = reach === null ? null : await forwardSocket(reach, incoming, signal);
  const output = new SingleOutput(
    {
      address: `unix:${forward?.path ?? incoming}`,
      clock: systemClock,
      prepareTimeoutMs: LOAD_TIMEOUT_MS,
      keepsReferences: strategy.delta,
    },
    events,
  );
  const close = () => {
    output.close();
    forward?.close();
  };
  try {
    await output.connect(signal);
  } catch (error) {
    close();
    throw error;
  }
  // The connection is QEMU's own and cannot be opened again: there is nothing to watch.
  const unwatched = { close: () => undefined };
  return { output, isSilent: () => false, watchStopped: () => unwatched, close };
}
