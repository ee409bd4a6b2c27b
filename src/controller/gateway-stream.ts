/**
 * What stands between the two QEMUs of a live move, whoever controls them: the way to the destination, the
 * source gateway, and the recording. Not responsible for how the way is opened.
 */

import { systemClock } from '../base/index.ts';
import { type OutputEvents, SourceGateway, type SourceGatewayOptions } from '../gateway/index.ts';
import type { Way } from './arrangement.ts';
import { openRecording, type Recording } from './assess/recording.ts';
import { type MigrateOptions, storeBytesMax } from './options.ts';

/** Of a migration's options, what its gateway is made by. */
export type GatewayWishes = Parameters<typeof storeBytesMax>[0] &
  Pick<MigrateOptions, 'strategy' | 'recordPath' | 'bandwidthBytesPerSecondMax'>;

/** How QEMU comes to the gateway, and what it may do. */
export type GatewayDoor = Pick<
  SourceGatewayOptions,
  'listenPath' | 'admitQemu' | 'capabilities' | 'ackGate' | 'readyChunk'
>;

export interface StreamEvents {
  readonly onLayout: (pageCount: number) => void;
  /** QEMU's stream has come to its end. */
  readonly onStateComplete: () => void;
  readonly onError: (error: Error) => void;
}

/** `close` may be called at any moment, also while it is being made. */
export class GatewayStream {
  way: Way | null = null;
  gateway: SourceGateway | null = null;
  recording: Recording | null = null;

  /** Of the way's output, which is there before the gateway. */
  outputEvents(onError: (error: Error) => void): OutputEvents {
    return {
      onRoom: () => this.gateway?.pump(),
      onReturnPath: (message, raw) => this.gateway?.onReturnPath(message, raw),
      onError,
    };
  }

  /** The source's QEMU is awaited at `door`. Errors: those of the recording and of listening. */
  async listen(
    { output }: Way,
    wishes: GatewayWishes,
    door: GatewayDoor,
    events: StreamEvents,
  ): Promise<SourceGateway> {
    this.recording = openRecording(wishes.recordPath ?? null);
    this.gateway = new SourceGateway(
      output,
      {
        ...door,
        clock: systemClock,
        memoryBytesMax: storeBytesMax(wishes),
        absorb: wishes.strategy.absorb,
        deltas: wishes.strategy.delta,
        record: this.recording?.write ?? null,
        bandwidthBytesPerSecondMax: wishes.bandwidthBytesPerSecondMax,
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
