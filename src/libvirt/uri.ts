/** A libvirt URI as godwit takes it: which driver, and the daemon's socket on this host. */

import { uriError } from './errors.ts';

export interface LibvirtUri {
  /** What is asked of the daemon once it is reached: `qemu:///system`. */
  readonly driver: string;
  /** Sockets to try, best first. */
  readonly socketPaths: readonly string[];
}

const SYSTEM_FOLDER = '/run/libvirt';
/** The modular daemon first, as libvirt's own client does where both are installed. */
const SOCKET_NAMES = ['virtqemud-sock', 'libvirt-sock'];

/** Errors: LIBVIRT_URI. `runtimeFolder`: XDG_RUNTIME_DIR, where a session's daemon listens. */
export function parseLibvirtUri(text: string, runtimeFolder: string | null = null): LibvirtUri {
  let url: URL;
  try {
    url = new URL(text);
  } catch {
    throw uriError(text, 'it cannot be read');
  }
  if (url.protocol !== 'qemu:' && url.protocol !== 'qemu+unix:') {
    throw uriError(text, 'only QEMU over a unix socket of this host, so far');
  }
  if (url.host !== '') throw uriError(text, 'it names another host');
  if (url.pathname !== '/system' && url.pathname !== '/session') {
    throw uriError(text, 'its path is neither /system nor /session');
  }
  const socket = url.searchParams.get('socket');
  const driver = `qemu://${url.pathname}`;
  if (socket !== null) {
    if (!socket.startsWith('/')) throw uriError(text, 'socket= wants an absolute path');
    return { driver, socketPaths: [socket] };
  }
  if (url.pathname === '/session' && runtimeFolder === null) {
    throw uriError(text, 'a session has no socket without XDG_RUNTIME_DIR');
  }
  const folder = url.pathname === '/system' ? SYSTEM_FOLDER : `${runtimeFolder}/libvirt`;
  return { driver, socketPaths: SOCKET_NAMES.map((name) => `${folder}/${name}`) };
}
