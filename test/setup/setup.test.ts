/**
 * The pure parts of `npm start`'s setup: sources files, distributions, versions, the state of node_modules.
 */

import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { splitOptions } from '../../scripts/options.mjs';
import {
  addSourcesCommand,
  backportsSuite,
  deriveSources,
  installCommands,
  offersSuite,
  parseOsRelease,
} from '../../scripts/setup/distribution.mjs';
import { atLeast, PACKAGES, parseQemuVersion, sameDependencies } from '../../scripts/setup/needs.mjs';

const DEBIAN_12 = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nVERSION_CODENAME=bookworm\nID=debian\n';

const DEB822 = `Types: deb
# an archive of it: http://old.example.net/debian
URIs: http://apt.example.net/debian
Suites: bookworm bookworm-updates
Components: main contrib
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc

Types: deb
URIs: http://apt.example.net/debian-security
Suites: bookworm-security
Components: main
`;

test('the backports entry keeps mirror and key of a deb822 file, and nothing else changes', () => {
  const derived = deriveSources([{ path: 'debian.sources', text: DEB822 }], 'bookworm', 'bookworm-backports');
  assert.deepEqual(derived, {
    extension: 'sources',
    text: `Types: deb
URIs: http://apt.example.net/debian
Suites: bookworm-backports
Components: main
Signed-By: 
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 abc
`,
  });
});

test('the backports entry keeps mirror and options of a one-line file', () => {
  const text = [
    '# deb http://commented.example.net/debian bookworm main',
    'deb cdrom:[Debian]/ bookworm main',
    'deb-src http://source.example.net/debian bookworm main',
    'deb http://security.example.net/debian-security bookworm-security main',
    'deb [signed-by=/k.gpg arch=amd64] http://apt.example.net/debian bookworm main contrib # ours',
  ].join('\n');
  assert.deepEqual(deriveSources([{ path: 'sources.list', text }], 'bookworm', 'bookworm-backports'), {
    extension: 'list',
    text: 'deb [signed-by=/k.gpg arch=amd64] http://apt.example.net/debian bookworm-backports main\n',
  });
});

test('the command that a person types writes exactly the derived entry', () => {
  const derived = deriveSources([{ path: 'debian.sources', text: DEB822 }], 'bookworm', 'bookworm-backports');
  assert.ok(derived);
  const command = addSourcesCommand('bookworm-backports', derived).replace(/\| sudo tee .*/, '');
  assert.equal(spawnSync('sh', ['-c', command], { encoding: 'utf8' }).stdout, derived.text);
  const odd = { extension: 'list' as const, text: "deb [x='a'] http://a\\b/ %s main\n" };
  const oddCommand = addSourcesCommand('s', odd).replace(/\| sudo tee .*/, '');
  assert.equal(spawnSync('sh', ['-c', oddCommand], { encoding: 'utf8' }).stdout, odd.text);
});

test('a suite that is there already is seen; a disabled one is not', () => {
  const entry =
    'Types: deb\nURIs: http://apt.example.net/debian\nSuites: bookworm-backports\nComponents: main\n';
  const offers = (path: string, text: string) => offersSuite([{ path, text }], 'bookworm-backports');
  assert.equal(offers('a.sources', entry), true);
  assert.equal(offers('a.sources', `Enabled: no\n${entry}`), false);
  assert.equal(offers('a.sources', entry.replace('Types: deb', 'Types: deb-src')), false);
  assert.equal(offers('a.list', 'deb http://apt.example.net/debian bookworm-backports main'), true);
  assert.equal(offers('a.sources', DEB822), false);
  assert.equal(deriveSources([{ path: 'a.sources', text: entry }], 'bookworm', 'x'), null);
});

test('each distribution gets its own commands', () => {
  const commands = (osRelease: string) =>
    installCommands(parseOsRelease(osRelease), PACKAGES, null).join('\n');
  assert.match(
    commands(DEBIAN_12),
    /apt-get install -y -t bookworm-backports .*qemu-system-x86 qemu-utils iproute2\nsudo apt-get install -y --no-install-recommends openssh-server$/,
  );
  assert.match(
    commands('ID=debian\nVERSION_CODENAME=trixie'),
    /^sudo apt-get update\nsudo apt-get install -y --no/,
  );
  assert.match(commands('ID=linuxmint\nID_LIKE="ubuntu debian"'), /apt-get install/);
  assert.match(
    commands('ID=fedora'),
    /^sudo dnf install qemu-system-x86-core qemu-img iproute iproute-tc openssh-server$/,
  );
  assert.match(commands('ID=arch'), /^sudo pacman -S --needed qemu-system-x86 qemu-img iproute2 openssh$/);
  assert.match(commands('ID=void'), /qemu-system-x86_64, qemu-img, ip, tc, sshd$/);
  assert.equal(backportsSuite(parseOsRelease(DEBIAN_12)), 'bookworm-backports');
  assert.equal(backportsSuite(parseOsRelease('ID=debian\nVERSION_CODENAME=trixie')), null);
});

test('QEMU versions are read and compared', () => {
  assert.deepEqual(parseQemuVersion('QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2)'), [10, 0]);
  assert.deepEqual(parseQemuVersion('QEMU emulator version 7.2.22'), [7, 2]);
  assert.equal(parseQemuVersion('bash: not found'), null);
  assert.equal(atLeast([10, 0], [7, 2]), true);
  assert.equal(atLeast([7, 1], [7, 2]), false);
  assert.equal(atLeast([7, 2], [7, 2]), true);
});

test('node_modules is compared by content: another version or a missing package needs an install', () => {
  const wanted = {
    packages: {
      '': {},
      'node_modules/a': { version: '1.0.0' },
      'node_modules/b': { version: '2.0.0', optional: true },
    },
  };
  const installed = (packages: Record<string, { version: string }>) => ({ packages });
  assert.equal(sameDependencies(wanted, installed({ 'node_modules/a': { version: '1.0.0' } })), true);
  assert.equal(sameDependencies(wanted, installed({ 'node_modules/a': { version: '1.0.1' } })), false);
  assert.equal(sameDependencies(wanted, installed({})), false);
  const otherOptional = { 'node_modules/a': { version: '1.0.0' }, 'node_modules/b': { version: '1.0.0' } };
  assert.equal(sameDependencies(wanted, installed(otherOptional)), false);
});

test('--yes is ours, the rest is passed on in order', () => {
  assert.deepEqual(splitOptions(['--strategy', 'frs', '--yes', '--json']), {
    assumeYes: true,
    rest: ['--strategy', 'frs', '--json'],
  });
  assert.equal(splitOptions(['--json']).assumeYes, false);
});

/** Runs the real setup for `npm start` with a PATH that has only what `programs` says. */
function setUpWith(programs: Readonly<Record<string, string>>) {
  const folder = mkdtempSync(join(tmpdir(), 'godwit-setup-'));
  try {
    const bin = join(folder, 'bin');
    mkdirSync(bin);
    for (const [name, script] of Object.entries(programs)) {
      writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
      chmodSync(join(bin, name), 0o755);
    }
    const code = [
      'const { launch } = await import("./bin/runtime.mjs");',
      'const { setUp } = await import("./scripts/setup/index.mjs");',
      'launch(async () => { await setUp({ purpose: "demo", assumeYes: false }); console.log("ready"); return 0; });',
    ].join('\n');
    // No apt-get and no sudo on this PATH: it can only tell, not install.
    return spawnSync(process.execPath, ['--input-type=module', '-e', code], {
      cwd: join(import.meta.dirname, '..', '..'),
      env: { PATH: bin },
      encoding: 'utf8',
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

test('without QEMU and without a way to install it: what is missing, what is safe, the exact command', () => {
  const result = setUpWith({});
  assert.equal(result.status, 1);
  assert.match(result.stderr, /^godwit: QEMU is missing/m);
  assert.match(result.stderr, /safe: {2}nothing was started/);
  assert.match(result.stderr, /to do: .*/);
  assert.equal(result.stdout, '');
});

test('an old QEMU is refused, a middling one warns and goes on, a new one says nothing', () => {
  const version = (text: string) => ({
    'qemu-system-x86_64': `echo QEMU emulator version ${text}`,
    'qemu-img': '',
    ip: '',
    tc: '',
  });
  const old = setUpWith(version('6.2.0'));
  assert.equal(old.status, 1);
  assert.match(old.stderr, /QEMU 6\.2 is too old: godwit needs 7\.2/);
  const middling = setUpWith(version('8.2.2'));
  assert.equal(middling.stdout, 'ready\n');
  assert.match(middling.stderr, /warning: QEMU 8\.2 loses dirty pages by itself under TCG/);
  const recent = setUpWith(version('10.1.0'));
  assert.equal(recent.stdout, 'ready\n');
  assert.equal(recent.stderr, '');
});
