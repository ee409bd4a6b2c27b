/** `godwit set ID`: other limits for a running migration. */

import { GodwitError, parseDurationMs, parseRate } from '../../base/index.ts';
import type { ControlRequest } from '../../controller/index.ts';
import type { CommandOptions } from '../command.ts';
import { controlCommand } from '../control/control.ts';

export const command = controlCommand(
  (cli) =>
    cli
      .option('--bandwidth <rate>', 'cap on the link until the VM is stopped; "none" takes it away')
      .option('--downtime-limit <time>', 'how long the VM may stand still')
      .option('--max-downtime <time>', 'no rule makes a longer stop; "none" takes the bound away'),
  readSet,
);

function readSet({ bandwidth, downtimeLimit, maxDowntime }: CommandOptions): ControlRequest {
  if ([bandwidth, downtimeLimit, maxDowntime].every((one) => one === undefined)) {
    throw new GodwitError('USAGE_VALUE', 'nothing to set was given', {
      safe: 'nothing was changed',
      hint: 'use --bandwidth, --downtime-limit, --max-downtime, or several of them',
    });
  }
  return {
    do: 'set',
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecondMax: readBandwidth(String(bandwidth)) }),
    ...(downtimeLimit === undefined ? {} : { downtimeMsMax: parseDurationMs(String(downtimeLimit)) }),
    ...(maxDowntime === undefined ? {} : { downtimeMsBound: readBound(String(maxDowntime)) }),
  };
}

function readBound(text: string): number | null {
  return text === 'none' ? null : parseDurationMs(text);
}

function readBandwidth(text: string): number | null {
  return text === 'none' ? null : parseRate(text);
}
