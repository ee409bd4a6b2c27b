/**
 * Debian packages, got by this machine's own apt and unpacked without being installed. Not responsible for
 * what is made of them (image.ts).
 */

import { existsSync, mkdirSync, mkdtempSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { errorMessage } from '../../base/index.ts';
import { labError } from '../errors.ts';
import { runCommand } from '../machine/processes.ts';

/** A package's file as apt names it: name, version and architecture. */
export type PackageFile = string;

const RESOLVE_TIMEOUT_MS = 60_000;
const DOWNLOAD_TIMEOUT_MS = 300_000;
// As if nothing were installed or downloaded yet, and without touching apt's own state.
const APT_APART = [
  ...['-o', 'Dir::State::status=/dev/null', '-o', 'Dir::Cache::archives=/nonexistent'],
  ...['-o', 'Debug::NoLocking=1', '-o', 'APT::Install-Recommends=0', '-q'],
];

/**
 * The files of the packages and of all that they depend on, by apt's own resolver and the package lists that
 * this machine has. Nothing is downloaded. Errors: LAB_PACKAGES.
 */
export async function resolvePackages(names: readonly string[]): Promise<PackageFile[]> {
  const text = await apt(['apt-get', ...APT_APART, '--print-uris', '--yes', 'install', ...names]);
  return parseUris(text);
}

/** The kernel of a meta package, without what installing it would need. Errors: LAB_PACKAGES. */
export async function resolveKernel(metaPackage: string): Promise<{ name: string; file: PackageFile }> {
  const depends = await apt(['apt-cache', 'depends', metaPackage]);
  const name = /^\s*Depends: (linux-image-\S+)$/m.exec(depends)?.[1];
  if (name === undefined) throw missing(`${metaPackage} depends on no kernel`);
  const [file] = parseUris(await apt(['apt-get', ...APT_APART, '--print-uris', 'download', name]));
  if (file === undefined) throw missing(`apt does not say where ${name} is`);
  return { name, file };
}

/** Lines of `'URI' FILE SIZE HASH`. */
export function parseUris(text: string): PackageFile[] {
  return [...text.matchAll(/^'[^']+' (\S+\.deb) \d+/gm)].map((row) => row[1]!).sort();
}

/** `stress_1.0.7-1_amd64.deb` -> `stress=1.0.7-1`; apt writes a colon as %3a. */
export function packageOf(file: PackageFile): string {
  const [name, version] = file.split('_');
  return `${name}=${decodeURIComponent(version ?? '')}`;
}

/** Brings the files that the folder lacks. Errors: LAB_PACKAGES. */
export async function downloadPackages(files: readonly PackageFile[], folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  const lacking = files.filter((file) => !existsSync(join(folder, file)));
  if (lacking.length === 0) return;
  const fresh = mkdtempSync(join(folder, 'new-'));
  try {
    // apt downloads into its working directory.
    const argv = ['apt-get', '-q', 'download', ...lacking.map(packageOf)];
    await apt(['env', '-C', fresh, ...argv], DOWNLOAD_TIMEOUT_MS);
    for (const file of lacking) {
      if (!existsSync(join(fresh, file))) throw missing(`apt did not bring ${file}`);
      renameSync(join(fresh, file), join(folder, file));
    }
  } finally {
    rmSync(fresh, { recursive: true, force: true });
  }
}

/** Errors: LAB_COMMAND_FAILED. */
export async function unpackPackages(
  files: readonly PackageFile[],
  folder: string,
  into: string,
): Promise<void> {
  mkdirSync(into, { recursive: true });
  for (const file of files) await runCommand(['dpkg-deb', '-x', join(folder, file), into]);
}

async function apt(argv: readonly string[], timeoutMs = RESOLVE_TIMEOUT_MS): Promise<string> {
  try {
    return await runCommand(['env', 'LC_ALL=C', ...argv], { timeoutMs });
  } catch (cause) {
    throw missing(errorMessage(cause), cause);
  }
}

function missing(text: string, cause?: unknown) {
  return labError('LAB_PACKAGES', `the Linux guest's Debian packages cannot be had: ${text}`, {
    hint: 'it needs Debian (or a system with its apt sources) and a way to them; "apt-get update" renews the package lists',
    ...(cause === undefined ? {} : { cause }),
  });
}
