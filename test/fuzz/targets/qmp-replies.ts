/**
 * Replies of a QEMU that speaks QMP well and says nonsense: typed queries, the description of a
 * machine, text for people.
 */

import assert from 'node:assert/strict';
import type { Prng } from '../../../src/base/index.ts';
import { commandError } from '../../../src/qmp/errors.ts';
import {
  compareMachines,
  gatherMachine,
  type JsonObject,
  probeQemu,
  type QmpClient,
} from '../../../src/qmp/index.ts';
import { parseDeviceTree, parseRamBlocks } from '../../../src/qmp/monitor-text.ts';
import { queryQmpSchema } from '../../../src/qmp/schema.ts';
import type { FuzzTarget } from '../target.ts';
import { jsonGrammar } from './json-lines.ts';

const RAM_BLOCKS = `              Block Name    PSize              Offset               Used              Total                HVA  RO
                  pc.ram    4 KiB  0x0000000000000000 0x0000000008000000 0x0000000008000000 0x00007f3a3be00000  rw
    /rom@etc/acpi/tables    4 KiB  0x0000000008100000 0x0000000000020000 0x0000000000200000 0x00007f3a3a400000  ro
`;
const DEVICE_TREE = `bus: main-system-bus
  type System
  dev: hpet, id ""
    gpio-in "" 2
    timers = 3 (0x3)
  dev: i440FX-pcihost, id ""
    bus: pci.0
      type PCI
      dev: virtio-blk-pci, id "vd0"
        addr = 02.0
`;
const PCI_FUNCTION = {
  bus: 0,
  slot: 2,
  function: 0,
  qdev_id: 'vd0',
  id: { vendor: 0x1af4, device: 0x1001, subsystem: 2, 'subsystem-vendor': 0x1af4 },
  regions: [{ bar: 0, type: 'io', size: 128 }],
};
const RAM = {
  ...{ total: 1, remaining: 1, transferred: 1, duplicate: 1, normal: 1, 'normal-bytes': 4096 },
  ...{ 'dirty-pages-rate': 1, 'dirty-sync-count': 2, mbps: 1, 'page-size': 4096 },
};

/** By command, and for some by what it is asked about. */
const REPLIES: Readonly<Record<string, unknown>> = {
  'query-name': { name: 'guest' },
  'query-uuid': { UUID: 'u' },
  'query-kvm': { enabled: false, present: true },
  'query-status': { status: 'running', running: true },
  'query-migrate': {
    status: 'active',
    ram: RAM,
    'blocked-reasons': ['x'],
    'socket-address': [{ type: 'unix', path: '/run/x' }],
  },
  'query-migrate-capabilities': [{ capability: 'xbzrle', state: false }],
  'query-migrate-parameters': { 'downtime-limit': 300, 'tls-creds': '' },
  'query-cpus-fast': [
    { 'cpu-index': 0, 'qom-path': '/machine/cpu', 'thread-id': 99_999_999, props: { a: 1 } },
  ],
  'query-block': [{ device: 'd', qdev: 'vd0', inserted: { file: 'd.img', drv: 'raw', ro: false } }],
  'query-chardev': [{ label: 'serial0', filename: 'unix:/run/s' }],
  'query-pci': [
    {
      bus: 0,
      devices: [PCI_FUNCTION, { ...PCI_FUNCTION, slot: 3, pci_bridge: { devices: [PCI_FUNCTION] } }],
    },
  ],
  'query-qmp-schema': [
    { name: 'query-migrate', 'meta-type': 'command', 'arg-type': '0', 'ret-type': '1' },
    { name: '1', 'meta-type': 'object', members: [{ name: 'blocked-reasons', type: '[2]' }] },
    { name: '2', 'meta-type': 'enum', values: ['a'], members: [{ name: 'a' }] },
  ],
  'qom-list': [
    { name: 'ram', type: 'child<memory-backend-ram>' },
    { name: 'file', type: 'child<memory-backend-file>' },
  ],
  'qom-get share': true,
  'qom-get mem-path': '/dev/shm/x',
  'device-list-properties': [{ name: 'switchover-ack-legacy' }],
  'qom-get type': 'pc-i440fx-10.0-machine',
  'qom-get feature-words': [{ 'cpuid-input-eax': 1, 'cpuid-register': 'ECX', features: 7 }],
  'qom-get migratable': true,
  'human-monitor-command info ramblock': RAM_BLOCKS,
  'human-monitor-command info qtree': DEVICE_TREE,
};

/** Says what `replies` holds, and refuses what it does not. */
function speaker(replies: Readonly<Record<string, unknown>>): QmpClient {
  const execute = async (name: string, args: JsonObject = {}) => {
    const about = args['property'] ?? args['command-line'];
    const key = about === undefined ? name : `${name} ${String(about)}`;
    if (!Object.hasOwn(replies, key)) throw commandError(name, 'GenericError', 'not found');
    return replies[key];
  };
  const greeting = { version: { major: 10, minor: 0, micro: 2 }, package: '', offersOob: true };
  return { execute, path: '/run/fuzzed', greeting, oob: true } as unknown as QmpClient;
}

const QUERIES: readonly ((qemu: QmpClient) => Promise<unknown>)[] = [queryQmpSchema, probeQemu];

/**
 * One line, an object: what QEMU says to each command. What is believed of it is compared with
 * a sound machine too.
 */
export const qmpReplies: FuzzTarget = {
  name: 'qmp-replies',
  codes: /^QMP_/,
  ...jsonGrammar([REPLIES]),
  generate: () => Buffer.from(JSON.stringify(REPLIES)),
  run: async (bytes) => {
    let replies: Readonly<Record<string, unknown>>;
    try {
      replies = JSON.parse(Buffer.from(bytes).toString('utf8').split('\n')[0]!) as never;
    } catch {
      return;
    }
    if (replies === null || typeof replies !== 'object') return;
    const qemu = speaker(replies);
    const refusals: unknown[] = [];
    for (const query of QUERIES) await query(qemu).catch((error) => refusals.push(error));
    const sound = await gatherMachine(speaker(REPLIES), { elsewhere: true });
    await gatherMachine(qemu, { elsewhere: true }).then(
      (machine) => {
        for (const finding of [...compareMachines(machine, sound), ...compareMachines(sound, machine)]) {
          assert.equal(typeof finding.code, 'string');
        }
      },
      (error) => refusals.push(error),
    );
    for (const error of refusals) if (!/^QMP_/.test(String((error as { code?: string }).code))) throw error;
    if (refusals.length > 0) throw refusals[0];
  },
};

export const monitorText: FuzzTarget = {
  name: 'monitor-text',
  codes: /^NONE$/,
  words: ['  ', 'dev: ', 'bus: ', 'type ', '0x', ' KiB ', '\n', '\r\n', 'Block Name'],
  generate: (prng: Prng) => Buffer.from(prng.below(2) === 0 ? RAM_BLOCKS : DEVICE_TREE),
  inputBytesMax: 64 * 1024,
  run: (bytes) => {
    const text = Buffer.from(bytes).toString('utf8');
    for (const { usedBytes, totalBytes } of parseRamBlocks(text) ?? []) {
      assert.ok(usedBytes >= 0 && totalBytes >= 0);
    }
    parseDeviceTree(text);
  },
};
