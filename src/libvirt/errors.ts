/**
 * Every error of this folder, made in one place. libvirt's own words are in the message, its numbers in
 * `fields`. docs/errors.md explains the codes.
 */

import { errorCode, GodwitError } from '../base/index.ts';

export function connectError(peer: string, cause: unknown): GodwitError {
  const systemCode = errorCode(cause);
  const hints: Readonly<Record<string, string>> = {
    ENOENT: 'no daemon listens there: start libvirtd or virtqemud, or name its socket with ?socket=PATH',
    ECONNREFUSED: 'the socket is left over from a daemon that has ended; start it again',
    EACCES: 'run as root, or as a member of the group that owns the socket (often "libvirt")',
  };
  return new GodwitError('LIBVIRT_CONNECT', `cannot connect to libvirt at ${peer} (${systemCode})`, {
    safe: 'nothing was asked of libvirt',
    hint: hints[systemCode] ?? 'check that virsh reaches this libvirt',
    fields: { peer, systemCode },
    cause,
  });
}

export function uriError(uri: string, why: string): GodwitError {
  return new GodwitError(
    'LIBVIRT_URI',
    `${JSON.stringify(uri.slice(0, 200))} is no libvirt URI for godwit: ${why}`,
    {
      safe: 'nothing was asked of libvirt',
      hint: 'qemu:///system, qemu:///session, qemu+unix:///system?socket=PATH',
    },
  );
}

export function authError(peer: string, offered: readonly string[]): GodwitError {
  return new GodwitError(
    'LIBVIRT_AUTH',
    `libvirt at ${peer} wants ${offered.join(' or ')} before it listens`,
    {
      safe: 'nothing was asked of libvirt',
      hint: 'godwit speaks no SASL: use the unix socket on that host (auth_unix_rw "none" or "polkit" in the daemon\'s configuration), directly or through ssh',
      fields: { peer, offered: offered.join(',') },
    },
  );
}

/** The peer does not speak the protocol; `section` is that of docs/format/libvirt-rpc.md. */
export function protocolError(section: string, message: string): GodwitError {
  return new GodwitError('LIBVIRT_PROTOCOL', `libvirt-rpc ${section}: ${message}`, {
    hint: 'check that the socket belongs to a libvirt daemon',
  });
}

export type UnansweredWhy = 'closed' | 'deadline' | 'silent';

/**
 * A call that was sent and not answered: it may have been carried out, it may not, and it may be carried out
 * later. Whoever gets this asks the daemon for the state of things before deciding anything.
 */
export function unansweredError(
  peer: string,
  call: string,
  why: UnansweredWhy,
  cause?: unknown,
): GodwitError {
  const words: Record<UnansweredWhy, string> = {
    closed: 'the connection ended',
    deadline: 'its deadline passed',
    silent: 'the daemon did not answer keepalives',
  };
  return new GodwitError('LIBVIRT_UNANSWERED', `${words[why]} before libvirt at ${peer} answered ${call}`, {
    safe: 'the call may have been carried out, and may be yet',
    hint: 'look at the domain there (virsh domstate --reason, virsh domjobinfo)',
    fields: { peer, call, why },
    cause,
  });
}

/** The connection has ended; a call that gets this was never sent. */
export function closedError(peer: string, why: string, cause?: unknown): GodwitError {
  return new GodwitError('LIBVIRT_CLOSED', `the connection to libvirt at ${peer} has ended: ${why}`, {
    safe: 'the call was not sent',
    hint: "the daemon may have been restarted: see its log, or journalctl -u 'virt*'",
    fields: { peer },
    cause,
  });
}

export function queueFullError(call: string, waitingMax: number): GodwitError {
  return new GodwitError(
    'LIBVIRT_QUEUE_FULL',
    `${waitingMax} calls wait for libvirt already; ${call} was not sent`,
    {
      safe: 'the call was not sent',
      fields: { call, waitingMax },
    },
  );
}

/** libvirt's answer is an error. */
export function faultError(
  peer: string,
  call: string,
  fault: { readonly code: number; readonly domain: number; readonly message: string | null },
): GodwitError {
  const words = fault.message ?? `error ${fault.code}`;
  return new GodwitError('LIBVIRT_CALL', `libvirt at ${peer} refused ${call}: ${printable(words)}`, {
    hint: "the words are libvirt's; its log says more",
    fields: { call, code: fault.code, domain: fault.domain, message: printable(words) },
  });
}

export function isUnanswered(error: unknown): boolean {
  return errorCode(error) === 'LIBVIRT_UNANSWERED';
}

/** libvirt's number of the error that it answered with; null for anything else. */
export function faultCode(error: unknown): number | null {
  if (!(error instanceof GodwitError) || error.code !== 'LIBVIRT_CALL') return null;
  const { code } = error.fields;
  return typeof code === 'number' ? code : null;
}

/** A daemon's words never steer the terminal. */
function printable(words: string): string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it replaces
  return words.slice(0, 2000).replace(/[\u0000-\u001f\u007f-\u009f]+/g, ' ');
}
