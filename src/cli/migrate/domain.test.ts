import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { parseDomain, readDomainOptions } from './domain.ts';

const shared = {} as never;
const destinationOf = (text: string, options = {}) =>
  readDomainOptions(['libvirt:vm', text], shared, {
    ...{ rsh: 'ssh -q', remoteCommand: 'godwit', connections: '2', linkTimeout: '60s' },
    ...options,
  }).destination;

describe('a libvirt domain on the command line', () => {
  it('is a name, a UUID or an id, on the system daemon or another', () => {
    assert.deepEqual(parseDomain('libvirt:web1'), { sourceUri: 'qemu:///system', domain: 'web1' });
    assert.deepEqual(parseDomain('libvirt:///web%201?uri=qemu:///session'), {
      sourceUri: 'qemu:///session',
      domain: 'web 1',
    });
    assert.deepEqual(parseDomain('libvirt:///7'), { sourceUri: 'qemu:///system', domain: '7' });
  });

  it('goes to a host behind ssh, or to another daemon of this one', () => {
    assert.deepEqual(destinationOf('qemu+ssh://root@host2:2222/system', { farGateway: false }), {
      text: 'qemu+ssh://root@host2:2222/system',
      uri: 'qemu:///system',
      reach: { command: ['ssh', '-q', '-p', '2222'], host: 'root@host2' },
      far: null,
      incomingFolder: '/var/lib/libvirt/qemu',
    });
    const paired = destinationOf('qemu+ssh://host2/system', { workers: '1' });
    assert.deepEqual([paired.far?.reach, paired.far?.workers], [paired.reach, 1]);
    assert.equal(destinationOf('libvirt+ssh://host2/').uri, 'qemu:///system');
    assert.equal(
      destinationOf('qemu+ssh://host2/system?socket=/run/b.sock').uri,
      'qemu:///system?socket=/run/b.sock',
    );
    assert.deepEqual(destinationOf('qemu+unix:///system?socket=/run/b.sock', { incomingFolder: '/run/in' }), {
      text: 'qemu+unix:///system?socket=/run/b.sock',
      uri: 'qemu+unix:///system?socket=/run/b.sock',
      reach: null,
      far: null,
      incomingFolder: '/run/in',
    });
  });

  it('is refused where it names nothing, or asks for what libvirt does itself', () => {
    for (const text of ['libvirt:', 'libvirt:///', 'libvirt:/x', 'libvirt:%zz']) {
      assert.throws(() => parseDomain(text), { code: 'USAGE_ENDPOINT' }, text);
    }
    for (const text of [
      'host2',
      'qemu+tls://host2/system',
      'ssh://host2/qmp.sock',
      'qemu+ssh://-oProxyCommand=x/system',
    ]) {
      assert.throws(() => destinationOf(text), { code: 'USAGE_ENDPOINT' }, text);
    }
    for (const stray of [{ destinationAddress: 'x' }, { farGateway: false, workers: '1' }]) {
      assert.throws(() => destinationOf('qemu+ssh://h/system', stray), { code: 'USAGE_VALUE' });
    }
  });
});
