/**
 * The command line of a twin: a QEMU that waits for the VM of another one. Built from how the source was
 * started and what it has become since. Pure. What it misses, the comparison of both ends finds before
 * anything moves (src/qmp/compare.ts).
 */

import { type Argument, joinArguments, splitArguments } from './arguments.ts';
import { rewriteChardev, rewriteShort } from './chardev.ts';
import { Context } from './context.ts';
import { rewriteDrives, rewriteNodes } from './drives.ts';
import { rewriteDevices } from './plugged.ts';
import type { LaunchAsked, LaunchPlan, LaunchSource } from './types.ts';
import { parseValue } from './values.ts';

export function planLaunch(source: LaunchSource, asked: LaunchAsked): LaunchPlan {
  const context = new Context(source, asked);
  const given = splitArguments(source.words).map((argument) => mapped(argument, context));
  const own = given.flatMap((argument) => rewrite(argument, context));
  const grown = rewriteDevices(rewriteNodes(rewriteDrives(own, context), context), context);
  const whole = [...withoutWindow(withMachine(grown, source.machineType), context), ...finish(context)];
  refuseDescriptors(whole, context);
  refuseSharedMemory(context);
  return {
    program: context.names.map(source.program),
    words: joinArguments(whole),
    workingFolder: context.workingFolder,
    qmpPath: asked.qmpPath,
    machineType: source.machineType,
    makes: [asked.qmpPath, ...context.names.made],
    notes: context.notes,
  };
}

/** What says something to the guest, or is a number, and never a file. */
const WITHOUT_NAMES: ReadonlySet<string> = new Set([
  ...['append', 'name', 'smbios', 'uuid', 'cpu', 'machine', 'M', 'm', 'smp', 'boot', 'k', 'rtc', 'global'],
]);

function mapped({ flag, value }: Argument, { names }: Context): Argument {
  if (value === null || WITHOUT_NAMES.has(flag)) return { flag, value };
  // Doubled commas are told apart from single ones only where the value is taken apart.
  const text = value.startsWith('{')
    ? parseValue(value, '').map((one) => names.map(one)).text
    : names.map(value);
  return { flag, value: text };
}

/** Options that concern one option alone. */
function rewrite(argument: Argument, context: Context): Argument[] {
  const { flag, value } = argument;
  switch (flag) {
    case 'incoming':
    case 'loadvm':
    case 'S':
    case 'daemonize':
    case 'full-screen':
      return [];
    case 's':
      context.takePort('1234', '-s');
      return [argument];
    case 'snapshot':
      context.refuse('-snapshot: what the guest has written lies in a file that nobody can open');
      return [argument];
    case 'readconfig':
      context.warn(`-readconfig ${value}: it is read there as it is; nothing in it is changed`);
      return [argument];
    case 'chardev':
      return [{ flag, value: rewriteChardev(parseValue(value ?? '', 'backend'), context).text }];
    case 'qmp':
    case 'qmp-pretty':
    case 'monitor':
    case 'serial':
    case 'parallel':
    case 'debugcon':
    case 'gdb':
      return [{ flag, value: rewriteShort(value ?? '', flag, context) }];
    case 'D':
      return [{ flag, value: context.make(value ?? '') }];
    case 'pidfile':
      // QEMU itself takes care that it is nobody else's.
      return [{ flag, value: context.asked.sameHost ? context.make(value ?? '') : value }];
    default:
      return rewriteHostSide(argument, context);
  }
}

/** Screens and networks: what they take of the host. */
function rewriteHostSide(argument: Argument, context: Context): Argument[] {
  const { flag, value } = argument;
  switch (flag) {
    case 'display': {
      const kind = /^[a-z-]+/.exec(value ?? '')?.[0] ?? '';
      if (kind === 'vnc')
        return [{ flag: 'vnc', value: rewriteVnc((value ?? '').slice('vnc='.length), context) }];
      if (kind === 'none' || kind === 'egl-headless') return [argument];
      context.info(`-display ${value}: the twin has no window`);
      return [{ flag, value: 'none' }];
    }
    case 'sdl':
    case 'curses':
      context.info(`-${flag}: the twin has no window`);
      return [{ flag: 'display', value: 'none' }];
    case 'vnc':
      return [{ flag, value: rewriteVnc(value ?? '', context) }];
    case 'spice': {
      const spice = parseValue(value ?? '', 'port');
      for (const key of ['port', 'tls-port']) {
        const port = spice.get(key);
        if (port !== null && port !== '0') context.takePort(port, `-spice ${key}`);
      }
      return [argument];
    }
    case 'netdev':
    case 'nic':
    case 'net':
      takeNetwork(argument, context);
      return [argument];
    default:
      return [argument];
  }
}

function rewriteVnc(text: string, context: Context): string {
  const value = parseValue(text, 'address');
  const address = value.get('address') ?? '';
  if (/^(on|yes|true)$/.test(value.get('password') ?? '')) {
    context.warn(`-vnc ${address}: its password is not carried over; set it again (set_password)`);
  }
  if (address.startsWith('unix:')) {
    return value.set('address', `unix:${context.make(address.slice('unix:'.length))}`).text;
  }
  if (address !== 'none' && value.get('reverse') !== 'on') takeDisplay(address, context);
  return text;
}

function takeDisplay(address: string, context: Context): void {
  const { sameHost } = context.asked;
  if (!sameHost || context.names.isMapped(address)) return;
  context.refuse(`-vnc ${address}: the source has that display of this host: --map ${address}=ANOTHER`);
}

function takeNetwork({ flag, value: text }: Argument, context: Context): void {
  const value = parseValue(text ?? '', 'type');
  const port = /^[a-z]*:[^:]*:(\d+)-/.exec(value.get('hostfwd') ?? '')?.[1];
  if (port !== undefined) context.takePort(port, `-${flag} hostfwd=${value.get('hostfwd')}`);
  const device = value.get('ifname');
  if (device !== null && context.asked.sameHost && !context.names.isMapped(device)) {
    context.refuse(
      `-${flag} ifname=${device}: the source has that device of this host: --map ${device}=ANOTHER`,
    );
  }
}

/** The newest machine of an alias (`pc`, `q35`) differs between versions of QEMU. */
function withMachine(all: readonly Argument[], machineType: string): Argument[] {
  const isMachine = ({ flag }: Argument) => flag === 'machine' || flag === 'M';
  if (!all.some(isMachine)) return [{ flag: 'machine', value: machineType }, ...all];
  let isSet = false;
  return all.map((argument) => {
    if (!isMachine(argument)) return argument;
    const value = parseValue(argument.value ?? '', 'type');
    // Several of them are one: only the type of the last counts.
    if (value.get('type') === null && isSet) return argument;
    isSet = true;
    return { flag: 'machine', value: value.set('type', machineType).text };
  });
}

/** Without a word about it QEMU opens a window, for which a process without a desktop does not start. */
function withoutWindow(all: readonly Argument[], context: Context): Argument[] {
  const said = new Set(['display', 'nographic', 'vnc', 'spice']);
  if (all.some(({ flag }) => said.has(flag))) return [...all];
  context.info('the twin has no window (-display none)');
  return [...all, { flag: 'display', value: 'none' }];
}

function finish(context: Context): Argument[] {
  const { qmpPath } = context.asked;
  const monitor = { flag: 'qmp', value: `unix:${qmpPath.replaceAll(',', ',,')},server=on,wait=off` };
  return [...(context.isQmpMade ? [] : [monitor]), { flag: 'incoming', value: 'defer' }];
}

const DESCRIPTOR = /(?:^|,)(?:v?host)?fds?=|\/dev\/fdset\/|"(?:vhost)?fds?":|^fd:/;

/** Somebody opened them before QEMU was started, and only that process has them. */
function refuseDescriptors(all: readonly Argument[], context: Context): void {
  for (const { flag, value } of all) {
    if (flag !== 'add-fd' && !(value !== null && DESCRIPTOR.test(value))) continue;
    context.refuse(
      `-${flag} ${value}: an open descriptor, which whoever started the source had handed to it`,
    );
  }
}

function refuseSharedMemory(context: Context): void {
  if (!context.asked.sameHost) return;
  for (const path of context.source.memoryFiles) {
    const there = context.names.map(path);
    if (there !== path) continue;
    context.refuse(
      `the guest's memory lies in ${path}, and the twin would write into it: --map ${path}=ANOTHER`,
    );
  }
}
