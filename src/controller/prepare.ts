/** Sets both QEMUs up and puts the gateway between them; the VM has not been touched when it is done. */

import { errorMessage } from '../base/index.ts';
import type { ReadyMemory, SourceGateway } from '../gateway/index.ts';
import {
  isRefusal,
  migrateIncoming,
  ParameterGuard,
  type PreviousSettings,
  type QmpClient,
  queryCpusFast,
  queryMigrate,
  queryMigrateCapabilities,
  stop,
} from '../qmp/index.ts';
import { farProcessIdentity, NEAR } from '../remote/index.ts';
import { openWay } from './arrangement.ts';
import type { Custody } from './custody.ts';
import { GatewayStream, type StreamEvents } from './gateway-stream.ts';
import { asGodwitError } from './handover/failures.ts';
import { type MigrateOptions, needsKey } from './options.ts';
import type { Preflight } from './preflight/preflight.ts';
import { mechanismOf, sharedCapabilities, sourceSettings } from './preflight/settings.ts';
import { QemuKey } from './qemu-key.ts';
import type { Sockets } from './sockets.ts';
import type { Twin } from './start/twin.ts';
import type { MigrateStep } from './steps.ts';

export interface PrepareOptions extends StreamEvents {
  readonly options: MigrateOptions;
  readonly preflight: Preflight;
  readonly source: QmpClient;
  readonly destination: QmpClient;
  /** null: the destination QEMU was started by somebody else. */
  readonly twin: Twin | null;
  readonly custody: Custody;
  readonly sockets: Sockets;
  readonly ready: ReadyMemory | null;
  readonly onNote: (text: string) => void;
  readonly onStep: (step: MigrateStep) => void;
}

/** Between two QEMUs that godwit controls itself. */
export class Stream extends GatewayStream {
  /** The source's settings before they were changed. */
  settings: PreviousSettings | null = null;
  /** The destination's; for as long as it is not ours. */
  destinationSettings: PreviousSettings | null = null;
  /** Started for this migration, or told to listen: nobody else's VM comes there any more. */
  destinationIsOurs = false;
}

/** Fills `stream` step by step. Errors: those of QMP, of the way, of the journal. */
export async function prepare(
  stream: Stream,
  prepared: PrepareOptions,
  signal: AbortSignal,
): Promise<SourceGateway> {
  const { options, preflight, source, sockets, onStep, onNote } = prepared;
  await keepTwin(stream, prepared, signal);
  const { features, gate } = preflight;
  const ackGate = gate.kind === 'ack';
  if (!ackGate) onNote(`without switchover-ack QEMU may stop the VM by itself once that fits: ${gate.why}`);
  const { bitmapBits } = preflight.source;
  const mechanism = mechanismOf(options);
  await setSource(stream, prepared, sourceSettings(features, ackGate, mechanism, bitmapBits));
  onStep('settings');
  const shared = sharedCapabilities(ackGate, mechanism);
  const key = await setDestination(stream, prepared, shared, signal);
  const recognised = recogniseFar(prepared, signal);
  // Where the way fails first, nobody waits for it.
  recognised.catch(() => undefined);
  const onError = (error: Error) => prepared.onError(asGodwitError(error));
  stream.way = await openWay(
    {
      options,
      key: key?.key ?? null,
      threadId: preflight.destination.threadId,
      incoming: sockets.incoming,
      events: stream.outputEvents(onError),
      onNote,
      listen: (uri) => listenThere(stream, prepared, uri),
      listeningAt: async () => (await queryMigrate(prepared.destination)).listeningAt,
    },
    signal,
  ).finally(() => forgetKey(key, prepared));
  onStep('connected');
  await recognised;
  const enabled = [...(await queryMigrateCapabilities(source))].filter(([, on]) => on).map(([name]) => name);
  const gateway = await stream.listen(
    stream.way,
    options,
    {
      listenPath: sockets.stream.listenPath,
      admitQemu: sockets.stream.admitQemu,
      capabilities: new Set(enabled),
      ackGate,
      readyChunk: () => prepared.ready?.take() ?? null,
    },
    { onLayout: prepared.onLayout, onStateComplete: prepared.onStateComplete, onError },
  );
  onStep('listening');
  return gateway;
}

/** In this order: a QEMU that nobody's journal names must not outlive this process. */
async function keepTwin(
  stream: Stream,
  { twin, custody }: PrepareOptions,
  signal: AbortSignal,
): Promise<void> {
  if (twin === null) return;
  await custody.journal.record({ step: 'started' });
  stream.destinationIsOurs = true;
  await twin.keep(signal);
}

async function setSource(
  stream: Stream,
  { source, custody }: PrepareOptions,
  settings: ReturnType<typeof sourceSettings>,
): Promise<void> {
  const guard = new ParameterGuard(source, {
    record: async (previous) => {
      await custody.journal.record({ step: 'settings', ...previous });
      stream.settings = previous;
    },
  });
  await guard.setCapabilities(settings.capabilities);
  await guard.setParameters(settings.parameters);
}

async function setDestination(
  stream: Stream,
  { options, preflight, destination, custody }: PrepareOptions,
  capabilities: Readonly<Record<string, boolean>>,
  signal: AbortSignal,
): Promise<QemuKey | null> {
  const guard = new ParameterGuard(destination, {
    record: async (previous) => {
      await custody.journal.record({ step: 'destination-settings', ...previous });
      stream.destinationSettings = previous;
    },
  });
  await guard.setCapabilities(capabilities);
  if (!needsKey(options)) return null;
  const reach = options.far?.reach ?? NEAR;
  return QemuKey.offer({ destination, guard, reach, threadId: preflight.destination.threadId }, signal);
}

/** Best effort: where the way was not opened, the destination may be gone. */
async function forgetKey(key: QemuKey | null, { onNote }: PrepareOptions): Promise<void> {
  await key?.withdraw().catch((error: unknown) => {
    onNote(`the destination keeps the credentials of this move: ${errorMessage(error)}`);
  });
}

/**
 * The destination QEMU listens, and will not start the VM by itself. Errors: those of QMP; after a refusal it
 * is as it was.
 */
async function listenThere(
  stream: Stream,
  { preflight, destination, twin, custody, onStep }: PrepareOptions,
  uri: string,
): Promise<void> {
  await custody.journal.record({ step: 'incoming', answer: 'asked' });
  stream.destinationIsOurs = true;
  try {
    await migrateIncoming(destination, uri, { exitOnError: !preflight.destinationTellsWhy });
  } catch (error) {
    if (isRefusal(error)) {
      stream.destinationIsOurs = twin !== null;
      await custody.journal.record({ step: 'incoming', answer: 'refused' });
    }
    throw error;
  }
  // In its incoming state `stop` only means: do not start by yourself (qmp_stop). Only our `cont`
  // starts the VM there.
  await stop(destination);
  onStep('incoming');
}

/** Where its host tells it. Without it an end that does not answer is never believed to be gone. */
async function recogniseFar(
  { options, destination, custody }: PrepareOptions,
  signal: AbortSignal,
): Promise<void> {
  const reach = options.far?.reach;
  if (reach?.host == null) return;
  const threadId = (await queryCpusFast(destination))[0]?.threadId;
  if (threadId === undefined) return;
  const identity = await farProcessIdentity(reach, threadId, signal);
  if (identity !== null) await custody.recognise(identity);
}
