/**
 * What stands between the two QEMUs of a domain's move: the gateway, and the way to where the destination's
 * QEMU listens. Not responsible for when libvirt is asked to begin.
 */

import { systemClock } from '../../base/index.ts';
import { LOAD_TIMEOUT_MS, SingleOutput, SourceGateway } from '../../gateway/index.ts';
import { type Forward, forwardSocket } from '../../remote/index.ts';
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

export interface DomainStreamEvents {
  onLayout(pageCount: number): void;
  onStateComplete(): void;
  onError(error: Error): void;
}

/** `close` may be called at any moment, also while it is being made. */
export class DomainStream {
  output: SingleOutput | null = null;
  gateway: SourceGateway | null = null;
  recording: Recording | null = null;
  #forward: Forward | null = null;

  /** The destination's QEMU listens on `incoming` of its host. */
  async connect(
    { destination: { reach }, strategy }: MigrateDomainOptions,
    incoming: string,
    onError: (error: Error) => void,
  ): Promise<void> {
    const signal = AbortSignal.timeout(LOAD_TIMEOUT_MS);
    this.#forward = reach === null ? null : await forwardSocket(reach, incoming, signal);
    this.output = new SingleOutput(
      {
        address: `unix:${this.#forward?.path ?? incoming}`,
        clock: systemClock,
        prepareTimeoutMs: LOAD_TIMEOUT_MS,
        keepsReferences: strategy.delta,
      },
      {
        onRoom: () => this.gateway?.pump(),
        onReturnPath: (message, raw) => this.gateway?.onReturnPath(message, raw),
        onError,
      },
    );
    await this.output.connect(signal);
  }

  /** The source's QEMU is awaited at `outgoing`. */
  async listen(
    options: MigrateDomainOptions,
    { outgoing, ackGate }: { readonly outgoing: string; readonly ackGate: boolean },
    events: DomainStreamEvents,
  ): Promise<SourceGateway> {
    this.recording = openRecording(options.recordPath ?? null);
    this.gateway = new SourceGateway(
      this.output!,
      {
        listenPath: outgoing,
        // libvirt's daemon connects, as whoever it is, and hands QEMU the connection.
        admitQemu: () => undefined,
        capabilities: CAPABILITIES,
        clock: systemClock,
        memoryBytesMax: storeBytesMax({ far: null, gatewayMemoryBytesMax: options.gatewayMemoryBytesMax }),
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
    this.output?.close();
    this.#forward?.close();
  }
}
