import assert from 'node:assert/strict';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { FAR_DEFAULTS } from '../../controller/index.ts';
import { declareFarOptions, readDestination } from './far.ts';

function read(...args: string[]) {
  const command = new Command().argument('<destination>').exitOverride();
  command.option('--insecure').option('--start');
  declareFarOptions(command);
  command.parse(args, { from: 'user' });
  return readDestination(command.args[0]!, '/run/a.qmp', command.opts());
}

test('a QEMU of this host has no far side', () => {
  assert.deepEqual(read('qmp:/run/b.qmp'), { destinationQmpPath: '/run/b.qmp', far: null });
});

test('a QEMU that is to be started there is called as the one here, unless it has a name', () => {
  assert.equal(read('ssh://host2', '--start').destinationQmpPath, '/run/a.qmp');
  assert.equal(read('ssh://me@host2:2222/', '--start').destinationQmpPath, '/run/a.qmp');
  assert.equal(read('ssh://host2/run/b.qmp', '--start').destinationQmpPath, '/run/b.qmp');
  assert.throws(() => read('ssh://host2'), { code: 'USAGE_ENDPOINT' });
});

test('nothing of godwit on the far host', () => {
  assert.equal(read('ssh://host2/run/b.qmp', '--no-far-gateway').far?.withoutGateway, true);
  assert.throws(() => read('qmp:/run/b.qmp', '--no-far-gateway'), { code: 'USAGE_VALUE' });
});

test('a QEMU of another host: user, port and defaults', () => {
  const { destinationQmpPath, far } = read('ssh://me@host2:2222/run/b.qmp', '--workers', '3');
  assert.equal(destinationQmpPath, '/run/b.qmp');
  assert.deepEqual(far, {
    reach: { command: ['ssh', '-p', '2222'], host: 'me@host2' },
    remoteCommand: ['godwit'],
    dataAddress: null,
    connections: FAR_DEFAULTS.connections,
    workers: 3,
    linkTimeoutMs: 60_000,
  });
});

test('commands are split, addresses and times are read', () => {
  const { far } = read(
    'ssh://[fd00::2]/b',
    '--rsh',
    "ssh -F 'a b'",
    '--remote-command',
    'sudo godwit',
    '--data-address',
    '[fd00::3]:4444',
    '--connections',
    '8',
    '--link-timeout',
    '2m',
  );
  assert.deepEqual(far?.reach, { command: ['ssh', '-F', 'a b'], host: 'fd00::2' });
  assert.deepEqual(far?.remoteCommand, ['sudo', 'godwit']);
  assert.deepEqual([far?.dataAddress, far?.connections, far?.linkTimeoutMs], ['[fd00::3]:4444', 8, 120_000]);
});

test('what is no endpoint is refused; a host that would be an option to ssh most of all', () => {
  const refused = [
    'ssh://host',
    'ssh:/host/b',
    'ssh:///b',
    'ssh://-oProxyCommand=x/b',
    'ssh://-l@host/b',
    'ssh://host:99999/b',
    'ssh://ho[st/b',
    'ssh://host/',
    '/b',
  ];
  for (const text of refused) assert.throws(() => read(text), { code: 'USAGE_ENDPOINT' }, text);
});

test('values out of range and options without their use are refused', () => {
  const ssh = 'ssh://host/b';
  for (const args of [
    [ssh, '--connections', '0'],
    [ssh, '--connections', '65'],
    [ssh, '--connections', '1.5'],
    [ssh, '--workers=-1'],
    [ssh, '--link-timeout', '10ms'],
    [ssh, '--rsh', ''],
    ['qmp:/b', '--workers', '2'],
    ['qmp:/b', '--data-address', 'h'],
  ]) {
    assert.throws(() => read(...args), { code: 'USAGE_VALUE' }, args.join(' '));
  }
  assert.throws(() => read(ssh, '--data-address', 'h:70000'), { code: 'USAGE_ENDPOINT' });
  assert.throws(() => readDestination(ssh, '/run/a.qmp', { destinationAddress: 'h:1' }), {
    code: 'USAGE_VALUE',
  });
});

const at = (file: string) => fileURLToPath(new URL(`../../../test/certificates/${file}`, import.meta.url));
const TLS = ['--tls-cert', at('near.pem'), '--tls-key', at('near.key'), '--tls-ca', at('ours.pem')];

test('a godwit receive that was started by hand: address, files, and a session of its own', () => {
  const { destinationQmpPath, far } = read('tls://[fd00::2]:4444', ...TLS, '--tls-name', 'far.test');
  assert.equal(destinationQmpPath, 'tls://[fd00::2]:4444');
  const { session, ...listener } = far!.reach.listener!;
  assert.match(session, /^[0-9a-f]{32}$/);
  const tls = {
    certPath: at('near.pem'),
    keyPath: at('near.key'),
    caPath: at('ours.pem'),
    serverName: 'far.test',
  };
  assert.deepEqual(listener, { host: 'fd00::2', port: 4444, tls });
  const plain = read('tcp://host2:4444', '--insecure').far?.reach.listener;
  assert.deepEqual([plain?.host, plain?.port, plain?.tls], ['host2', 4444, null]);
  assert.notEqual(plain?.session, session);
});

test('certificates go with tls://, --insecure with tcp://, and neither with anything else', () => {
  for (const [code, ...args] of [
    ['USAGE_INSECURE', 'tcp://host:1'],
    ['USAGE_VALUE', 'tls://host:1'],
    ['USAGE_VALUE', 'tls://host:1', '--insecure'],
    ['USAGE_VALUE', 'tls://host:1', ...TLS.slice(0, 4)],
    ['USAGE_VALUE', 'tcp://host:1', '--insecure', ...TLS],
    ['USAGE_VALUE', 'ssh://host/b', ...TLS],
    ['USAGE_VALUE', 'qmp:/b', '--tls-name', 'far'],
    ['USAGE_VALUE', 'tls://host:1', ...TLS, '--data-address', 'h'],
    ['USAGE_TLS', 'tls://host:1', ...TLS, '--tls-ca', at('nowhere.pem')],
    ['USAGE_ENDPOINT', 'tls://host', ...TLS],
    ['USAGE_ENDPOINT', 'tls://host:0', ...TLS],
    ['USAGE_ENDPOINT', 'tls:host:1', ...TLS],
    ['USAGE_ENDPOINT', 'tls://host:1/b', ...TLS],
  ] as const) {
    assert.throws(() => read(...args), { code }, args.join(' '));
  }
});
