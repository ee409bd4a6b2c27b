/**
 * Certificates of the operator's own authority, read from files. Not responsible for using them: src/link.
 */

import { readFileSync } from 'node:fs';
import tls from 'node:tls';
import { errorMessage, GodwitError } from '../base/index.ts';
import type { TlsCredentials } from '../link/index.ts';

/** Paths: the journal names them, so that recovery can use them too; no key is ever copied. */
export interface TlsFiles {
  readonly certPath: string;
  readonly keyPath: string;
  readonly caPath: string;
  /** The name that the far certificate carries, where it is not the host dialled. */
  readonly serverName?: string | null | undefined;
}

/** Errors: USAGE_TLS. */
export function loadTls(files: TlsFiles): TlsCredentials {
  const { certPath, keyPath, caPath, serverName } = files;
  const pem = { cert: read(certPath), key: read(keyPath), ca: read(caPath) };
  try {
    tls.createSecureContext(pem);
  } catch (cause) {
    throw tlsError(`${certPath}, ${keyPath} and ${caPath} do not make a TLS identity`, cause);
  }
  return { kind: 'ca', ...pem, ...(serverName == null ? {} : { serverName }) };
}

function read(path: string): string {
  try {
    return readFileSync(path, 'utf8');
  } catch (cause) {
    throw tlsError(`cannot read ${path}`, cause);
  }
}

function tlsError(text: string, cause: unknown): GodwitError {
  return new GodwitError('USAGE_TLS', `${text}: ${errorMessage(cause)}`, {
    cause,
    safe: 'nothing was started or changed',
    hint: 'PEM files: --tls-cert and --tls-key of this host, --tls-ca of the authority that signed both hosts’ certificates',
  });
}
