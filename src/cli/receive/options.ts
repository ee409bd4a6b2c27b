/** Reads the options of `godwit receive` when a person starts it. */

import { GodwitError, parseDurationMs } from '../../base/index.ts';
import { parseQmpEndpoint } from '../../controller/index.ts';
import type { ReceiveListenOptions } from '../../receive/index.ts';
import { loadTls } from '../../remote/index.ts';
import type { CommandOptions } from '../command.ts';
import { readHostPort, readTls, strayTls } from '../migrate/tls-options.ts';
import { packageVersion } from '../version.ts';

/** Errors: USAGE_*. */
export function readReceiveOptions(
  [destination]: readonly string[],
  options: CommandOptions,
): ReceiveListenOptions {
  if (destination === undefined || options['listen'] === undefined) {
    throw new GodwitError('USAGE_RECEIVE', 'godwit receive needs to know its QEMU and where to wait', {
      safe: 'nothing was started or changed',
      hint: 'godwit receive qmp:/path/of/the/qmp.sock --listen HOST:PORT --tls-cert … --tls-key … --tls-ca …; or let godwit migrate SOURCE ssh://HOST/path start it',
    });
  }
  const isInsecure = options['insecure'] === true;
  const stray = strayTls(options);
  if (isInsecure && stray !== null) {
    throw new GodwitError('USAGE_VALUE', `--insecure does without certificates, ${stray} names one`, {
      safe: 'nothing was started or changed',
      hint: 'leave one of them out',
    });
  }
  return {
    qmpPath: parseQmpEndpoint(destination),
    listen: readHostPort(String(options['listen']), 'address to listen on'),
    credentials: isInsecure ? null : loadTls(readTls(options, null)),
    lingerMs: parseDurationMs(String(options['linger'])),
    version: packageVersion(),
  };
}
