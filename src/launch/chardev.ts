/**
 * Character devices: `-chardev`, and the short form of -serial, -monitor, -qmp and others. A socket that the
 * source listens on becomes one of the twin's own; a terminal becomes none. Syntax: qemu(1).
 */

import type { Context } from './context.ts';
import { parseValue, type Value } from './values.ts';

/** `-chardev BACKEND,id=…`. */
export function rewriteChardev(value: Value, context: Context): Value {
  const what = `-chardev ${value.get('id') ?? ''}`;
  switch (value.get('backend')) {
    case 'stdio':
      context.info(`${what}: the twin has no terminal, so nobody is at its other end`);
      return value.remove('signal').set('backend', 'null');
    case 'file': {
      const path = value.get('path');
      return path === null || isDevice(path) ? value : value.set('path', context.make(path));
    }
    case 'socket':
      return rewriteSocket(value, context, what);
    case 'serial':
    case 'tty':
    case 'parallel':
    case 'parport':
      if (context.asked.sameHost) context.refuse(`${what}: the source has that device of this host`);
      return value;
    default:
      return value;
  }
}

function rewriteSocket(value: Value, context: Context, what: string): Value {
  const path = value.get('path');
  if (value.get('server') !== 'on' && value.get('server') !== 'true') {
    // A second client of the same server would disturb the first one.
    const peer = path ?? value.get('port') ?? '';
    if (context.asked.sameHost && !context.names.isMapped(peer)) {
      context.refuse(
        `${what} is connected to ${peer}, where the source is connected too: --map ${peer}=ANOTHER`,
      );
    }
    return value;
  }
  // With wait=on QEMU starts only once somebody has connected.
  const ready = value.set('wait', 'off');
  if (path !== null) return ready.set('path', context.make(path));
  const port = value.get('port');
  if (port !== null) context.takePort(port, what);
  return ready;
}

/** The short form; `flag` is the option's. */
export function rewriteShort(text: string, flag: string, context: Context): string {
  const what = `-${flag} ${text}`;
  const [, mux = '', rest = ''] = /^(mon:)?(.*)$/s.exec(text) ?? [];
  if (rest === 'stdio') {
    context.info(`${what}: the twin has no terminal, so nobody is at its other end`);
    return 'null';
  }
  const [, scheme = '', place = ''] = /^([a-z]+):(.*)$/s.exec(rest) ?? [];
  switch (scheme) {
    case 'unix': {
      const value = parseValue(place, 'path');
      return `${mux}unix:${rewriteSocket(value, context, what).text}`;
    }
    case 'tcp':
    case 'telnet':
    case 'websocket': {
      const value = parseValue(place, 'address');
      const port = /:(\d+)$/.exec(value.get('address') ?? '')?.[1] ?? '';
      const whole = rewriteSocket(value.set('port', port), context, what);
      return `${mux}${scheme}:${whole.remove('port').text}`;
    }
    case 'file':
      return isDevice(place) ? text : `${mux}file:${context.make(place)}`;
    default:
      if (rest.startsWith('/dev/') && context.asked.sameHost) {
        context.refuse(`${what}: the source has that device of this host`);
      }
      return text;
  }
}

function isDevice(path: string): boolean {
  return path.startsWith('/dev/') && !path.startsWith('/dev/shm/');
}
