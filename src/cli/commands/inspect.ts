/**
 * `godwit inspect FILE|-`: what a captured QEMU migration stream holds, and whether it is whole. Reads
 * incrementally, keeps no page. Not responsible for the format (src/stream).
 */

import { open } from 'node:fs/promises';
import { errorCode, errorMessage, type GodwitError, MIB } from '../../base/index.ts';
import { StreamDecoder } from '../../stream/index.ts';
import type { CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { InspectCollector } from '../inspect/collector.ts';
import { describe } from '../inspect/report.ts';
import { render } from '../inspect/text.ts';
import { painter, wantsColour } from '../screen/output.ts';

const READ_BYTES = MIB;

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('<file>', 'a stream captured with `migrate "exec:cat > FILE"`; - reads standard input')
      .option('--json', 'print one JSON object instead of text');
  },
  run({ out }, [file], options) {
    return runInspect(file!, { json: options['json'] === true }, out);
  },
};

/**
 * Shows the stream and resolves with the exit code: 0 for a whole one, 1 for one that is cut short, damaged,
 * or of which nobody can tell. Errors: STREAM_MAGIC and STREAM_VERSION when the input is no stream at all.
 */
export async function runInspect(file: string, options: { json: boolean }, out: Output): Promise<number> {
  const collector = new InspectCollector();
  const decoder = new StreamDecoder({ capabilities: 'unknown' }, collector);
  let damage: GodwitError | null = null;
  try {
    for await (const chunk of file === '-' ? process.stdin : chunksOf(file))
      decoder.write(chunk as Uint8Array);
  } catch (error) {
    const code = errorCode(error);
    if (!code.startsWith('STREAM_') || code === 'STREAM_MAGIC' || code === 'STREAM_VERSION') throw error;
    damage = error as GodwitError;
  }
  const end = damage
    ? {
        complete: false,
        reason: `${errorMessage(damage)} (${damage.code} at byte ${damage.fields['streamOffset']})`,
      }
    : decoder.end();
  const report = describe(collector, decoder.facts.bytesWritten, end, damage?.code ?? null);
  if (options.json) out.write(`${JSON.stringify(report)}\n`);
  else out.write(`${render(file, report, painter(wantsColour(out))).join('\n')}\n`);
  return report.complete === true ? EXIT.ok : EXIT.failed;
}

/** One buffer for the whole file: the decoder keeps nothing of it. */
async function* chunksOf(file: string): AsyncGenerator<Uint8Array> {
  const handle = await open(file);
  try {
    const buffer = Buffer.allocUnsafe(READ_BYTES);
    for (;;) {
      const { bytesRead } = await handle.read(buffer, 0, READ_BYTES);
      if (bytesRead === 0) return;
      yield buffer.subarray(0, bytesRead);
    }
  } finally {
    await handle.close();
  }
}
