/** The committed program is what its source builds. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import test from 'node:test';
import { fileURLToPath } from 'node:url';
import { GUEST_BINARY_PATH } from './index.ts';

const folder = fileURLToPath(new URL('./bare/', import.meta.url));

/** Why a byte for byte comparison means nothing here, or false. */
function reasonToSkip(): string | false {
  const recorded = readFileSync(join(folder, 'godwit-guest.toolchain'), 'utf8');
  try {
    const first = (tool: string) =>
      execFileSync(tool, ['--version'], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).split(
        '\n',
      )[0];
    const here = `${first('gcc')}\n${first('ld')}\n`;
    if (here !== recorded)
      return `the program was built with ${recorded.trim().replace('\n', ', ')}; here is another`;
  } catch {
    return 'gcc or ld is missing';
  }
  return process.arch === 'x64' ? false : 'gcc here builds for another architecture';
}

test('build.sh gives the committed bytes', { skip: reasonToSkip() }, () => {
  const out = mkdtempSync(join(tmpdir(), 'godwit-guest-'));
  try {
    execFileSync('sh', [join(folder, 'build.sh'), out], { stdio: ['ignore', 'pipe', 'pipe'] });
    const built = readFileSync(join(out, 'godwit-guest.elf'));
    assert.ok(
      built.equals(readFileSync(GUEST_BINARY_PATH)),
      'run src/lab/guest/bare/build.sh and commit the result',
    );
  } finally {
    rmSync(out, { recursive: true });
  }
});
