/**
 * The process that runs gateway and controller in the handover tests. At its moment it stands still (its
 * whole event loop, in a blocking read) until the test has struck; then it goes on, if it still lives. `node
 * handover-child.ts '{"strike": ..., ...}'`; the report is its last line.
 */

import { readSync, writeSync } from 'node:fs';
import { MIB } from '../../src/base/index.ts';
import { migrate } from '../../src/controller/index.ts';
import { readParameters, strategyByName } from '../../src/strategy/index.ts';

export interface Strike {
  /** A step's name, `progress-N` (the Nth view, about 50 ms apart) or `iteration-N`. */
  readonly at: string;
  readonly afterMs: number;
}

export interface ChildOptions {
  readonly strike: Strike | null;
  readonly sourceQmpPath: string;
  readonly destinationQmpPath: string;
  readonly stateDirectory: string;
  readonly sourceAfter: 'keep' | 'quit';
  readonly ackGate: 'auto' | 'off';
  readonly downtimeMsMax: number;
  readonly force: readonly string[];
}

const options = JSON.parse(process.argv[2]!) as ChildOptions;
const STANDARD_INPUT = 0;
const STANDARD_OUTPUT = 1;
let views = 0;
let struck = false;

function reach(moment: string): void {
  if (struck || options.strike?.at !== moment) return;
  struck = true;
  if (options.strike.afterMs > 0) setTimeout(standStill, options.strike.afterMs);
  else standStill();
}

function standStill(): void {
  writeSync(STANDARD_OUTPUT, 'here\n');
  readSync(STANDARD_INPUT, new Uint8Array(1));
}

const interrupted = new AbortController();
process.on('SIGINT', () => interrupted.abort(new Error('ended by SIGINT')));
const strategy = strategyByName('mp');
try {
  const report = await migrate(
    {
      ...options,
      destinationAddress: null,
      strategy,
      parameters: readParameters(strategy, []),
      limits: { downtimeMsMax: options.downtimeMsMax, timeoutMs: 4000, onTimeout: 'switch' },
      bandwidthBytesPerSecondMax: 40 * MIB,
      linkBytesPerSecond: null,
      gatewayMemoryBytesMax: 512 * MIB,
    },
    {
      onProgress: () => reach(`progress-${++views}`),
      onIteration: (stats) => reach(`iteration-${stats.index}`),
      onNote: () => undefined,
      onStep: reach,
    },
    interrupted.signal,
  );
  writeSync(STANDARD_OUTPUT, `${JSON.stringify(report)}\n`);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  writeSync(STANDARD_OUTPUT, `${JSON.stringify({ refused: code ?? 'INTERNAL', message })}\n`);
}
process.exit(0);
