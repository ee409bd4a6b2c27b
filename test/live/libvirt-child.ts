/**
 * `godwit migrate libvirt:…` in a process of its own. At its moment it stands still (its whole event loop,
 * in a blocking read) until whoever started it has struck; then it goes on, if it still lives: `node
 * libvirt-child.ts '{"at": …}'`. The report is its last line.
 */

import { readSync, writeSync } from 'node:fs';
import { type MigrateStep, migrateDomain } from '../../src/controller/index.ts';
import { readParameters, strategyByName } from '../../src/strategy/index.ts';

export interface ChildOptions {
  readonly at: MigrateStep | null;
  readonly sourceUri: string;
  readonly destinationUri: string;
  readonly incomingFolder: string;
  readonly stateDirectory: string;
  readonly strategy: string;
  readonly bandwidthBytesPerSecondMax: number;
}

const options = JSON.parse(process.argv[2]!) as ChildOptions;
const STANDARD_INPUT = 0;
const STANDARD_OUTPUT = 1;

function standStill(): void {
  writeSync(STANDARD_OUTPUT, 'here\n');
  readSync(STANDARD_INPUT, new Uint8Array(1));
}

const { sourceUri, destinationUri: uri, incomingFolder, stateDirectory } = options;
const strategy = strategyByName(options.strategy);
try {
  const report = await migrateDomain(
    {
      ...{ sourceUri, domain: 'guest', unsafe: false, stateDirectory, strategy },
      destination: { text: uri, uri, reach: null, far: null, incomingFolder },
      parameters: readParameters(strategy, []),
      limits: { downtimeMsMax: 300, timeoutMs: 8_000, onTimeout: 'switch' },
      bandwidthBytesPerSecondMax: options.bandwidthBytesPerSecondMax,
      linkBytesPerSecond: options.bandwidthBytesPerSecondMax,
      gatewayMemoryBytesMax: 256 * 1024 * 1024,
    },
    {
      onProgress: () => undefined,
      onIteration: () => undefined,
      onNote: () => undefined,
      onStep: (step) => {
        if (step === options.at) standStill();
      },
    },
    new AbortController().signal,
  );
  writeSync(STANDARD_OUTPUT, `${JSON.stringify(report)}\n`);
} catch (error) {
  const { code, message } = error as { code?: string; message: string };
  writeSync(STANDARD_OUTPUT, `${JSON.stringify({ refused: code ?? 'INTERNAL', message })}\n`);
}
process.exit(0);
