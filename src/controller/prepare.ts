/** Sets both QEMUs up and puts the gateway between them; the VM has not been touched when it is done. */

import path from 'node:path';
import { systemClock } from '../base/index.ts';
import { type ReadyMemory, SourceGateway } from '../gateway/index.ts';
import {
  ParameterGuard,
  type PreviousSettings,
  type QmpClient,
  queryCpusFast,
  queryMigrateCapabilities,
  stop,
} from '../qmp/index.ts';
import { farProcessIdentity } from '../remote/index.ts';
import { openWay, type Way } from './arrangement.ts';
import { openRecording, type Recording } from './assess/recording.ts';
import type { Custody } from './custody.ts';
import { asGodwitError } from './handover/failures.ts';
import { type MigrateOptions, storeBytesMax } from './options.ts';
import type { Preflight } from './preflight/preflight.ts';
import { sharedCapabilities, sourceSettings } from './preflight/settings.ts';
import type { MigrateStep } from './steps.ts';

export interface PrepareOptions {
  readonly options: MigrateOptions;
  readonly preflight: Preflight;
  readonly source: QmpClient;
  readonly destination: QmpClient;
  readonly custody: Custody;
  /** Private; for sockets. */
  readonly folder: string;
  readonly ready: ReadyMemory | null;
  readonly onLayout: (pageCount: number) => void;
  /** QEMU's stream has come to its end. */
  readonly onStateComplete: () => void;
  readonly onError: (error: Error) => void;
  readonly onNote: (text: string) => void;
  readonly onStep: (step: MigrateStep) => void;
}

/** What stands between the two QEMUs. `close` may be called at any moment, also while it is being made. */
export class Stream {
  way: Way | null = null;
  gateway: SourceGateway | null = null;
  recording: Recording | null = null;
  /** The source's settings before they were changed. */
  settings: PreviousSettings | null = null;

  close(): void {
    this.gateway?.close();
    this.way?.close();
  }
}

export function streamPath(folder: string): string {
  return path.join(folder, 'stream.sock');
}

/** Fills `stream` step by step. Errors: those of QMP, of the way, of the journal. */
export async function prepare(
  stream: Stream,
  prepared: PrepareOptions,
  signal: AbortSignal,
): Promise<SourceGateway> {
  const { options, preflight, source, destination, folder, onStep, onNote } = prepared;
  const { features, gate } = preflight;
  const ackGate = gate.kind === 'ack';
  if (!ackGate) onNote(`without switchover-ack QEMU may stop the VM by itself once that fits: ${gate.why}`);
  await setSource(stream, prepared, sourceSettings(features, ackGate, options.strategy.mechanism));
  onStep('settings');
  await new ParameterGuard(destination).setCapabilities(
    sharedCapabilities(ackGate, options.strategy.mechanism),
  );
  // In its incoming state `stop` only means: do not start by yourself (qmp_stop). Only our `cont`
  // starts the VM there.
  await stop(destination);
  const recognised = recogniseFar(prepared, signal);
  stream.way = await openWay(
    {
      options,
      destination,
      folder,
      exitOnError: !preflight.destinationTellsWhy,
      events: {
        onRoom: () => stream.gateway?.pump(),
        onReturnPath: (message, raw) => stream.gateway?.onReturnPath(message, raw),
        onError: (error) => prepared.onError(asGodwitError(error)),
      },
      onNote,
      onIncoming: () => onStep('incoming'),
    },
    signal,
  );
  onStep('connected');
  await recognised;
  const enabled = [...(await queryMigrateCapabilities(source))].filter(([, on]) => on).map(([name]) => name);
  stream.recording = openRecording(options.recordPath ?? null);
  stream.gateway = new SourceGateway(
    stream.way.output,
    {
      listenPath: streamPath(folder),
      ownerOf: options.sourceQmpPath,
      capabilities: new Set(enabled),
      clock: systemClock,
      memoryBytesMax: storeBytesMax(options),
      readyChunk: () => prepared.ready?.take() ?? null,
      absorb: options.strategy.absorb,
      deltas: options.strategy.delta,
      record: stream.recording?.write ?? null,
      ackGate,
      bandwidthBytesPerSecondMax: options.bandwidthBytesPerSecondMax,
    },
    {
      onLayout: (setup) => prepared.onLayout(setup.layout.pageCount),
      onStateComplete: prepared.onStateComplete,
      onError: (error) => prepared.onError(asGodwitError(error)),
    },
  );
  await stream.gateway.listen();
  onStep('listening');
  return stream.gateway;
}

async function setSource(
  stream: Stream,
  { source, custody }: PrepareOptions,
  settings: ReturnType<typeof sourceSettings>,
): Promise<void> {
  const guard = new ParameterGuard(source, {
    record: (previous) => {
      custody.journal.write({ step: 'settings', ...previous });
      stream.settings = previous;
    },
  });
  await guard.setCapabilities(settings.capabilities);
  await guard.setParameters(settings.parameters);
}

/**
 * Notes the far QEMU's process in the journal, where its host tells it. Without it a far end that does not
 * answer is never believed to be gone.
 */
async function recogniseFar(
  { options, destination, custody }: PrepareOptions,
  signal: AbortSignal,
): Promise<void> {
  const reach = options.far?.reach;
  if (reach?.host == null) return;
  const threadId = (await queryCpusFast(destination))[0]?.threadId;
  if (threadId === undefined) return;
  const identity = await farProcessIdentity(reach, threadId, signal);
  if (identity !== null) custody.recognise(identity);
}
