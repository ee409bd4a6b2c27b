/** The data plane's failures. Codes are explained in docs/errors.md. */

import { GodwitError } from '../base/index.ts';
import type { PassThrough } from '../stream/index.ts';

const SOURCE_GOES_ON = 'the source VM goes on; nothing was lost';

export const gatewayErrors = {
  sourceClosed: (cause?: unknown) =>
    new GodwitError('SOURCE_CLOSED', 'the source QEMU closed its migration connection', {
      cause,
      safe: SOURCE_GOES_ON,
    }),
  destinationClosed: (cause?: unknown) =>
    new GodwitError('DESTINATION_CLOSED', 'the destination QEMU closed its migration connection', {
      cause,
      safe: SOURCE_GOES_ON,
      hint: 'its log says why: another device, RAM size or CPU than at the source is the usual reason (godwit migrate --dry-run compares both)',
    }),
  destinationRefused: (status: number) =>
    new GodwitError(
      'DESTINATION_REFUSED',
      `the destination QEMU could not load the machine (SHUT ${status})`,
      {
        safe: SOURCE_GOES_ON,
        hint: 'compare both ends with godwit migrate --dry-run, and read the destination QEMU log',
      },
    ),
  destinationUnreachable: (address: string, cause: unknown) =>
    new GodwitError('DESTINATION_UNREACHABLE', `no connection to the destination at ${address}`, {
      cause,
      safe: SOURCE_GOES_ON,
    }),
  unreadable: ({ reason, detail }: PassThrough) =>
    new GodwitError('STREAM_UNREADABLE', `the stream cannot be taken apart: ${reason} (${detail})`, {
      fields: { reason, detail },
      safe: SOURCE_GOES_ON,
      hint: 'switch the feature off for this migration, or migrate without godwit',
    }),
  prepareTimeout: (timeoutMs: number) =>
    new GodwitError(
      'PREPARE_TIMEOUT',
      `the destination did not prove within ${timeoutMs} ms that it loaded the machine`,
      {
        safe: SOURCE_GOES_ON,
      },
    ),
  transferMismatch: (sentPages: number, arrivedPages: number) =>
    new GodwitError(
      'TRANSFER_MISMATCH',
      `the gateways disagree on what was sent (${sentPages} pages) and arrived (${arrivedPages})`,
      {
        safe: SOURCE_GOES_ON,
        hint: 'this is a defect of godwit: please report it with both logs',
        fields: { sentPages, arrivedPages },
      },
    ),
  farSide: (code: string, text: string) =>
    new GodwitError(code, `the destination gateway gave up: ${text}`, {
      safe: SOURCE_GOES_ON,
      fields: { fromPeer: true },
    }),
  givenUp: () => new GodwitError('ABORTED', 'the source gave the migration up'),
} as const;
