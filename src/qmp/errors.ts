/**
 * Every error of this folder, made in one place. QEMU's own words for a refused command are in `fields.class`
 * and `fields.desc`. Not responsible for printing. docs/errors.md explains the codes.
 */

import { GodwitError } from '../base/index.ts';

const NOTHING_CHANGED = 'nothing was asked of this QEMU; its VM is as it was';

export function connectError(path: string, cause: unknown): GodwitError {
  const systemCode =
    cause !== null && typeof cause === 'object' && 'code' in cause ? String(cause.code) : 'unknown';
  const hints: Readonly<Record<string, string>> = {
    ENOENT: 'check the path; QEMU makes it when started with -qmp unix:PATH,server=on,wait=off',
    ECONNREFUSED: 'the socket is left over from a QEMU that has ended; start QEMU again',
    EACCES: 'run as the user who owns the socket file, or as root',
    ENAMETOOLONG: 'a longer path works, but not a longer name: give the socket a name of at most 80 bytes',
    ENOTDIR: 'check the path: something in it is no folder',
    ENOTSOCK: 'this is an ordinary file; give the path of the QMP socket',
  };
  return new GodwitError('QMP_CONNECT', `cannot connect to the QMP socket ${path} (${systemCode})`, {
    safe: NOTHING_CHANGED,
    hint: hints[systemCode] ?? 'check that a QEMU listens there with -qmp unix:PATH,server=on,wait=off',
    fields: { path, systemCode },
    cause,
  });
}

/** `sure` is false where the kernel could not be asked who else is connected. */
export function busyError(path: string, sure: boolean): GodwitError {
  const verb = sure ? 'is' : 'is most likely';
  return new GodwitError('QMP_BUSY', `the QMP socket ${path} ${verb} in use by another client`, {
    safe: NOTHING_CHANGED,
    hint: 'QEMU serves one client a socket: disconnect the other one (libvirt, a monitor, another godwit), or start QEMU with a second -qmp socket for godwit',
    fields: { path, sure },
  });
}

/** libvirt holds the only connection to its VMs' sockets and must know of every change. */
export function libvirtError(path: string): GodwitError {
  return new GodwitError('QMP_LIBVIRT', `the QMP socket ${path} belongs to libvirt`, {
    safe: NOTHING_CHANGED,
    hint: 'libvirt must know of every step: godwit migrate libvirt:DOMAIN qemu+ssh://HOST/system',
    fields: { path },
  });
}

export function greetingTimeoutError(path: string, timeoutMs: number): GodwitError {
  return new GodwitError('QMP_TIMEOUT', `QEMU sent no QMP greeting on ${path} within ${timeoutMs} ms`, {
    safe: NOTHING_CHANGED,
    hint: 'no other client is connected, so QEMU hangs or the socket is no QMP socket: look at the QEMU process',
    fields: { path, timeoutMs, command: null },
  });
}

export function commandTimeoutError(command: string, timeoutMs: number): GodwitError {
  return new GodwitError('QMP_TIMEOUT', `QEMU did not answer ${command} within ${timeoutMs} ms`, {
    safe: 'the command may still take effect in QEMU',
    hint: 'QEMU answers late while it holds its big lock: the end of a migration, slow storage, or an overloaded host',
    fields: { command, timeoutMs },
  });
}

export function eventTimeoutError(wanted: string, timeoutMs: number): GodwitError {
  return new GodwitError('QMP_TIMEOUT', `no ${wanted} event from QEMU within ${timeoutMs} ms`, {
    fields: { event: wanted, timeoutMs },
  });
}

export function commandError(command: string, errorClass: string, desc: string): GodwitError {
  return new GodwitError('QMP_COMMAND', `QEMU refused ${command}: ${desc}`, {
    safe: 'a refused command changes nothing',
    fields: { command, class: errorClass, desc },
  });
}

export function closedError(path: string, by: 'us' | 'qemu', cause?: unknown): GodwitError {
  const who = by === 'us' ? 'godwit closed' : 'QEMU closed';
  return new GodwitError('QMP_CLOSED', `${who} the QMP connection ${path}`, {
    ...(by === 'qemu' ? { hint: 'the QEMU process has probably ended: look at its output' } : {}),
    fields: { path, by },
    cause,
  });
}

export function protocolError(message: string, cause?: unknown): GodwitError {
  return new GodwitError('QMP_PROTOCOL', message, {
    hint: 'check that the socket belongs to a QEMU and speaks QMP',
    cause,
  });
}

export function unsupportedError(what: string): GodwitError {
  return new GodwitError('QMP_UNSUPPORTED', `this QEMU has no ${what}`, {
    safe: 'nothing was changed',
    hint: 'a newer QEMU may have it',
    fields: { what },
  });
}

export function queueFullError(command: string, waitingMax: number): GodwitError {
  return new GodwitError(
    'QMP_QUEUE_FULL',
    `${waitingMax} QMP commands wait already; ${command} was not sent`,
    {
      safe: 'the command was not sent',
      fields: { command, waitingMax },
    },
  );
}

export function eventsLostError(lostCount: number): GodwitError {
  return new GodwitError('QMP_EVENTS_LOST', `${lostCount} QMP events were dropped before they were read`, {
    hint: 'ask query-status for the state instead of relying on events',
    fields: { lostCount },
  });
}

export function restoreError(names: readonly string[], cause: unknown): GodwitError {
  return new GodwitError('QMP_RESTORE', `QEMU settings could not be put back: ${names.join(', ')}`, {
    safe: 'the VM is not affected; a later migration of it starts with these settings',
    hint: 'set them by hand with migrate-set-capabilities or migrate-set-parameters',
    fields: { settings: names.join(',') },
    cause,
  });
}

/** True for any answer of QEMU's that refuses a command; false for time-outs and lost connections. */
export function isRefusal(error: unknown): boolean {
  return error instanceof GodwitError && error.code === 'QMP_COMMAND';
}
