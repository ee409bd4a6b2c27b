/**
 * The Linux guest's kernel and first root file system, made of Debian packages and kept in a cache: the same
 * packages give the same bytes. Not responsible for getting packages (packages.ts) nor for booting (pair.ts).
 */

import { createCipheriv, createHash } from 'node:crypto';
import {
  existsSync,
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, posix } from 'node:path';
import { fileURLToPath } from 'node:url';
import { MIB } from '../../base/index.ts';
import { labError } from '../errors.ts';
import { cacheFolder, keepNewest } from './cache.ts';
import { type CpioEntry, cpioArchive } from './cpio.ts';
import { elfNeeds } from './elf.ts';
import { downloadPackages, resolveKernel, resolvePackages, unpackPackages } from './packages.ts';
import { type LinuxProgram, PROGRAM_RECIPES } from './programs.ts';
import { remembered } from './resolved.ts';

export interface LinuxImage {
  readonly kernelPath: string;
  readonly initramfsPath: string;
  /** Names the packages and everything of ours that is inside. */
  readonly key: string;
  /** For results: the kernel's package, and those of the program. */
  readonly packages: readonly string[];
}

const KERNEL = 'linux-image-cloud-amd64';
const BASE_PACKAGES = ['busybox-static', 'perl-base'];
const BASE_FILES = ['/bin/busybox', '/usr/bin/perl'];
/** The agent uses no other module. */
const PERL_MODULES = ['strict.pm', 'warnings.pm'];
// Each needs those before it; the kernel package has no modules.dep.
const MODULES = [
  ...['drivers/virtio/virtio_ring', 'drivers/virtio/virtio', 'drivers/virtio/virtio_pci_modern_dev'],
  ...['drivers/virtio/virtio_pci_legacy_dev', 'drivers/virtio/virtio_pci'],
  ...['net/core/failover', 'drivers/net/net_failover', 'drivers/net/virtio_net'],
];
const LIBRARY_FOLDERS = ['/lib/x86_64-linux-gnu', '/usr/lib/x86_64-linux-gnu', '/lib64', '/lib', '/usr/lib'];
/** Content that repeats nowhere: what a move loses of it, the files' check finds. */
export const BALLAST = 'godwit/ballast';
const BALLAST_BYTES = 16 * MIB;
const LINKS_FOLLOWED_MAX = 16;
/** Of each program; older packages' go. */
const IMAGES_MAX = 2;

const guestFolder = dirname(fileURLToPath(new URL('./guest/init', import.meta.url)));

/** Builds the image unless the cache has it. Errors: LAB_PACKAGES, LAB_COMMAND_FAILED. */
export async function buildLinuxImage(
  program: LinuxProgram,
  folder: string = join(cacheFolder(), 'linux'),
): Promise<LinuxImage> {
  const recipe = PROGRAM_RECIPES[program];
  const { kernel, files } = await remembered(join(folder, 'resolved', `${program}.json`), async () => ({
    kernel: await resolveKernel(KERNEL),
    files: await resolvePackages([...BASE_PACKAGES, ...recipe.packages]),
  }));
  const ours = guestFiles(program);
  const key = createHash('sha256')
    .update(JSON.stringify([kernel.file, files, ours, MODULES, BALLAST_BYTES]))
    .digest('hex')
    .slice(0, 16);
  const home = join(folder, 'images', `${program}-${key}`);
  const packages = [kernel.file, ...files];
  const image = {
    kernelPath: join(home, 'vmlinuz'),
    initramfsPath: join(home, 'initramfs'),
    key,
    packages,
  };
  if (existsSync(image.initramfsPath)) return image;
  const packageFolder = join(folder, 'packages');
  await downloadPackages(packages, packageFolder);
  mkdirSync(dirname(home), { recursive: true });
  const fresh = mkdtempSync(`${home}-new-`);
  try {
    const root = join(fresh, 'root');
    await unpackPackages(packages, packageFolder, root);
    const release = kernel.name.replace('linux-image-', '');
    const entries = [...treeOf(root, program), ...modulesOf(root, release), ...ours, ...contentsOf(program)];
    writeFileSync(join(fresh, 'initramfs'), cpioArchive([...entries, manifestOf(entries), ...DEVICES]));
    renameSync(join(root, 'boot', `vmlinuz-${release}`), join(fresh, 'vmlinuz'));
    rmSync(root, { recursive: true, force: true });
    // Whoever else has built it meanwhile has built the same.
    if (!existsSync(image.initramfsPath)) renameSync(fresh, home);
    // 16 digits end the name, so that `stress` leaves `stress-ng` alone.
    const isSame = (name: string) =>
      /^-[0-9a-f]{16}$/.test(name.slice(program.length)) && name.startsWith(program);
    keepNewest(dirname(home), IMAGES_MAX, isSame);
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
  return image;
}

const DEVICES: readonly CpioEntry[] = [
  // Before /dev is mounted, the kernel opens it for its first process.
  { kind: 'character-device', path: 'dev/console', major: 5, minor: 1 },
  { kind: 'character-device', path: 'dev/null', major: 1, minor: 3 },
];

function guestFiles(program: LinuxProgram): CpioEntry[] {
  const { texts, start } = PROGRAM_RECIPES[program];
  const read = (name: string) => readFileSync(join(guestFolder, name), 'utf8');
  const order = MODULES.map((module) => posix.basename(module)).join('\n');
  const all: Record<string, string> = {
    ...texts,
    'godwit/init': read('init'),
    'godwit/agent.pl': read('agent.pl'),
    'godwit/program': `${start}\n`,
    'godwit/modules/order': `${order}\n`,
  };
  return Object.entries(all).map(([path, text]) => ({
    kind: 'file',
    path,
    bytes: Buffer.from(text),
    executable: path === 'godwit/init',
  }));
}

/**
 * Programs with the loader and the libraries that they name, each under the name by which it is asked for.
 */
function treeOf(root: string, program: LinuxProgram): CpioEntry[] {
  const entries = new Map<string, CpioEntry>();
  const wanted: string[] = [...BASE_FILES, ...PROGRAM_RECIPES[program].files];
  const perl = '/usr/lib/x86_64-linux-gnu/perl-base';
  wanted.push(...PERL_MODULES.map((module) => `${perl}/${module}`));
  for (let path = wanted.pop(); path !== undefined; path = wanted.pop()) {
    if (entries.has(path)) continue;
    const bytes = readFileSync(insideRoot(root, path));
    const executable = !path.endsWith('.pm');
    entries.set(path, { kind: 'file', path: path.slice(1), bytes, executable });
    const needs = elfNeeds(bytes);
    if (needs?.interpreter) wanted.push(needs.interpreter);
    for (const library of needs?.libraries ?? []) wanted.push(findLibrary(root, library));
  }
  return [...entries.values()];
}

function findLibrary(root: string, name: string): string {
  const folder = LIBRARY_FOLDERS.find((candidate) => existsSync(join(root, candidate, name)));
  if (folder !== undefined) return `${folder}/${name}`;
  throw labError('LAB_PACKAGES', `no package of the Linux guest has the library ${name}`);
}

/** A path as it is inside the packages: an absolute link stays within them. */
function insideRoot(root: string, path: string): string {
  let at = path;
  for (let links = 0; links < LINKS_FOLLOWED_MAX; links++) {
    if (!lstatSync(join(root, at)).isSymbolicLink()) return join(root, at);
    at = posix.resolve(posix.dirname(at), readlinkSync(join(root, at)));
  }
  throw labError('LAB_PACKAGES', `${path} is a link that leads nowhere`);
}

function modulesOf(root: string, release: string): CpioEntry[] {
  const from = join(root, 'lib', 'modules', release, 'kernel');
  if (!existsSync(from)) {
    const there = readdirSync(root).join(', ');
    throw labError('LAB_PACKAGES', `the kernel's package has no modules (it has ${there})`);
  }
  return MODULES.map((module) => ({
    kind: 'file',
    path: `godwit/modules/${posix.basename(module)}.ko`,
    bytes: readFileSync(join(from, `${module}.ko`)),
    executable: false,
  }));
}

function contentsOf(program: LinuxProgram): CpioEntry[] {
  const entries: CpioEntry[] = [contentFile(BALLAST, BALLAST_BYTES)];
  for (const [path, { count, bytes }] of Object.entries(PROGRAM_RECIPES[program].contents)) {
    for (let index = 0; index < count; index++) entries.push(contentFile(`${path}-${index}`, bytes));
  }
  return entries;
}

function contentFile(path: string, length: number): CpioEntry {
  return { kind: 'file', path, bytes: contentOf(path, length), executable: false };
}

/** Looks random, and is the same in every build: a cipher's key stream for the file's name. */
export function contentOf(path: string, length: number): Buffer {
  const key = createHash('sha256').update(path).digest();
  return createCipheriv('aes-256-ctr', key, Buffer.alloc(16)).update(Buffer.alloc(length));
}

/** As `md5sum -c` reads it. */
function manifestOf(entries: readonly CpioEntry[]): CpioEntry {
  const lines = entries.flatMap((entry) =>
    entry.kind === 'file' ? [`${createHash('md5').update(entry.bytes).digest('hex')}  /${entry.path}\n`] : [],
  );
  const text = lines.sort((one, other) => (one.slice(32) < other.slice(32) ? -1 : 1)).join('');
  return { kind: 'file', path: 'godwit/manifest', bytes: Buffer.from(text), executable: false };
}
