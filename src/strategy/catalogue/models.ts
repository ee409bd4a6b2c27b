/**
 * What stock QEMU cannot do, for the simulator only: shipping execution logs instead of pages, and continuous
 * checkpointing. Not responsible for which bytes cross the link (src/simulator).
 */

import type { Outlook, ParameterValues, Strategy, Verdict } from '../../vm/index.ts';
import { goOn, iterationIsPass, parameter, plain, stop, value } from '../common.ts';
import { bytesPerPage, formatBytes, formatMs, formatRate, lastIteration } from '../measures.ts';

interface LogRounds {
  /**
   * The log that is being shipped and replayed now, and when that will be done; null before the checkpoint is
   * over.
   */
  readonly logBytes: number | null;
  readonly doneMs: number;
  readonly rounds: number;
}

/**
 * Each round ships the log of the round before; it converges while logs are shipped and replayed faster than
 * they are written.
 */
function logRound(outlook: Outlook, memory: LogRounds, parameters: ParameterValues): Verdict<LogRounds> {
  const link = outlook.linkBytesPerSecond;
  if (!outlook.snapshot.firstPassDone || link === null || link <= 0) {
    return plain(goOn('trace-replay', 'the checkpoint is being copied'), memory);
  }
  const logRate = value(parameters, 'logBytesPerSecond');
  const speed = Math.min(link, logRate * value(parameters, 'replaySpeed'));
  const roundMs = (bytes: number) => (bytes * 1000) / speed;
  const started = memory.logBytes ?? (logRate * outlook.nowMs) / 1000;
  const doneMs = memory.logBytes === null ? outlook.nowMs + roundMs(started) : memory.doneMs;
  const next = { logBytes: started, doneMs, rounds: memory.rounds };
  const numbers = `round ${memory.rounds + 1}: ${formatBytes(started)} of log, shipped and replayed at ${formatRate(speed)}`;
  if (roundMs(started) <= outlook.limits.downtimeMsMax) {
    return plain(stop('trace-replay', `${numbers}: ${formatMs(roundMs(started))} fit the limit`), next);
  }
  if (outlook.nowMs < doneMs) return plain(goOn('trace-replay', numbers), next);
  const written = (logRate * roundMs(started)) / 1000;
  const after = { logBytes: written, doneMs: outlook.nowMs + roundMs(written), rounds: memory.rounds + 1 };
  return plain(goOn('trace-replay', `${numbers}; ${formatBytes(written)} were written meanwhile`), after);
}

export const traceReplay: Strategy<LogRounds> = {
  name: 'trace-replay',
  idea: 'Copy one checkpoint, then ship execution logs and replay them at the destination until a log fits the limit.',
  source: 'Liu et al. 2009, CR/TR-Motion; simulator model only, stock QEMU cannot',
  label: 'F',
  mechanism: 'model-only',
  simulatorOnly: 'stock QEMU keeps no execution log to replay',
  absorb: false,
  promisesDowntimeLimit: true,
  delta: false,
  parameters: [
    parameter(
      'logBytesPerSecond',
      1_000_000,
      [1000, 1e9],
      'B/s',
      'log written by the guest',
      'ours: the abstract gives ratios, no log rate; set it to the workload',
    ),
    parameter(
      'replaySpeed',
      2,
      [1.01, 100],
      'x',
      'replay against recording',
      'ours: replay must outrun recording, by how much depends on the workload',
    ),
  ],
  start: () => ({ logBytes: null, doneMs: 0, rounds: 0 }),
  atIteration: logRound,
  atTick: logRound,
  iterationMs: iterationIsPass,
};

export const checkpoint: Strategy<null> = {
  name: 'checkpoint',
  idea: 'Epoch after epoch to a standby, output held until the epoch is acknowledged: migration in its endless form.',
  source: 'Remus 2008; Kemari, MicroCheckpointing, VMware FT; simulator model only',
  label: 'F',
  mechanism: 'model-only',
  simulatorOnly: 'stock QEMU does not checkpoint a running VM to a standby',
  absorb: false,
  promisesDowntimeLimit: false,
  delta: false,
  parameters: [
    parameter('epochMs', 25, [1, 60_000], 'ms', 'guest time per epoch', 'Remus: 40 checkpoints a second'),
    parameter(
      'epochs',
      0,
      [0, 1e9],
      'epochs',
      'fail over after this many; 0: never by itself',
      'ours, to end a simulated run',
    ),
  ],
  start: () => null,
  atIteration: (outlook, _memory, parameters) => {
    const last = lastIteration(outlook);
    const link = outlook.linkBytesPerSecond;
    if (last === null || link === null || link <= 0)
      return plain(goOn('checkpoint', 'the standby is being filled'), null);
    const costMs = (last.dirtyPages * bytesPerPage(outlook.snapshot) * 1000) / link;
    const numbers = `epoch ${last.index}: ${last.dirtyPages} pages take ${formatMs(costMs)}, output held for ${formatMs(costMs + (outlook.snapshot.roundTripMs ?? 0))}`;
    const most = value(parameters, 'epochs');
    if (most > 0 && last.index >= most)
      return plain(stop('checkpoint', `${numbers}; failing over as asked`), null);
    return plain(goOn('checkpoint', numbers), null);
  },
  atTick: () => null,
  iterationMs: (_outlook, parameters) => value(parameters, 'epochMs'),
};
