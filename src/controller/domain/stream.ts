/**
 * What stands between the two QEMUs of a domain's move: the gateway, and the way to where the destination's
 * QEMU listens. Not responsible for when libvirt is asked to begin.
 */

import { systemClock } from '../../base/index.ts';
import { LOAD_TIMEOUT_MS, type OutputEvents, SingleOutput, type SourceGateway } from '../../gateway/index.ts';
import { forwardSocket } from '../../remote/index.ts';
import { openPaired, type Way } from '../arrangement.ts';
import { GatewayStream, type StreamEvents } from '../gateway-stream.ts';
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

export interface ConnectOptions {
  /** Where the destination's QEMU makes its socket, on its host. */
  readonly incoming: string;
  /** Has it listen there. */
  readonly listen: () => Promise<void>;
  readonly onError: (error: Error) => void;
  readonly onNote: (text: string) => void;
}

export class DomainStream extends GatewayStream {
  /** Until the destination's QEMU is connected. Errors: those of Prepare, of ssh and of the link. */
  async connect(options: MigrateDomainOptions, way: ConnectOptions, signal: AbortSignal): Promise<void> {
    const { far } = options.destination;
    const events = this.outputEvents(way.onError);
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
  listenFor(
    options: MigrateDomainOptions,
    { outgoing, ackGate }: { readonly outgoing: string; readonly ackGate: boolean },
    events: StreamEvents,
  ): Promise<SourceGateway> {
    return this.listen(
      this.way!,
      { ...options, far: options.destination.far },
      {
        listenPath: outgoing,
        // libvirt's daemon connects, as whoever it is, and hands QEMU the connection.
        admitQemu: () => undefined,
        capabilities: CAPABILITIES,
        ackGate,
      },
      events,
    );
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
