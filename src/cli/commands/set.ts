/** `godwit set ID`: other limits for a running migration. */

import { GodwitError, parseDurationMs, parseRate } from '../../base/index.ts';
import type { ControlRequest } from '../../controller/index.ts';
import type { CommandOptions } from '../command.ts';
import { controlCommand } from '../control/control.ts';

export const command = controlCommand(
  (cli) =>
    cli
      .option('--bandwidth <rate>', 'cap on the link until the VM is stopped; "none" takes it away')
      .option('--downtime-limit <time>', 'how long the VM may stand still'),
  readSet,
);

function readSet({ bandwidth, downtimeLimit }: CommandOptions): ControlRequest {
  if (bandwidth === undefined && downtimeLimit === undefined) {
    throw new GodwitError('USAGE_VALUE', 'nothing to set was given', {
      safe: 'nothing was changed',
      hint: 'use --bandwidth, --downtime-limit or both',
    });
  }
  return {
    do: 'set',
    ...(bandwidth === undefined ? {} : { bandwidthBytesPerSecondMax: readBandwidth(String(bandwidth)) }),
    ...(downtimeLimit === undefined ? {} : { downtimeMsMax: parseDurationMs(String(downtimeLimit)) }),
  };
}

function readBandwidth(text: string): number | null {
  return text === 'none' ? null : parseRate(text);
}
