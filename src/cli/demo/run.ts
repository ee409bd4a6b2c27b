/**
 * The demo from its link to its exit code. Not responsible for the contestants (stage.ts) nor for how it
 * looks (screen.ts, report.ts).
 */

import { sleep } from '../../base/index.ts';
import { findQemu, openNetwork, pinSelf, runCommand } from '../../lab/index.ts';
import type { CommandContext } from '../command.ts';
import { EXIT } from '../exit.ts';
import { columnsOf } from '../screen/output.ts';
import { wrap } from '../screen/progress-panel.ts';
import type { DemoOptions } from './options.ts';
import { closingSentence, comparison, type DemoOutcome, demoReport } from './report.ts';
import { Stage } from './stage.ts';

/** After Ctrl-C the VMs have this long to end in order; then they are killed. */
const ORDERLY_END_MS = 10_000;
const COLUMNS_DEFAULT = 100;

/**
 * Errors: LAB_TOOL_MISSING, LAB_VM_FAILED and the interrupt's reason; whatever happens, nothing is left
 * running.
 */
export async function runDemo(options: DemoOptions, context: CommandContext): Promise<number> {
  findQemu();
  await pinSelf();
  const network = await openNetwork({ linkBytesPerSecond: options.linkBytesPerSecond });
  try {
    const stage = new Stage(options, context, network, await diskOf());
    const outcome = await endsWith(context.interrupted, stage.play());
    show(outcome, context);
    const inDoubt = outcome.contestant.report?.outcome === 'in-doubt';
    if (outcome.contestant.record.success) return EXIT.ok;
    return inDoubt ? EXIT.inDoubt : EXIT.failed;
  } catch (error) {
    if (!context.interrupted.aborted) throw error;
    context.err.write('interrupted: the VMs and the link of this demo are gone; nothing else was touched\n');
    throw context.interrupted.reason;
  } finally {
    await network.close();
  }
}

/** A demo that hangs must not outlive its Ctrl-C: its processes are killed when this one ends. */
async function endsWith<Result>(interrupted: AbortSignal, work: Promise<Result>): Promise<Result> {
  const settled = new AbortController();
  const giveUp = new Promise<never>((_, reject) => {
    const start = () =>
      void sleep(ORDERLY_END_MS, settled.signal).then(
        () => reject(interrupted.reason),
        () => undefined,
      );
    if (interrupted.aborted) start();
    else interrupted.addEventListener('abort', start, { once: true });
  });
  try {
    return await Promise.race([work, giveUp]);
  } finally {
    settled.abort();
  }
}

async function diskOf(): Promise<'none' | 'plain'> {
  return runCommand(['qemu-img', '--version']).then(
    () => 'plain',
    () => 'none',
  );
}

function show(outcome: DemoOutcome, { out }: CommandContext): void {
  if (outcome.options.json) {
    out.write(`${JSON.stringify(demoReport(outcome))}\n`);
    return;
  }
  const columns = out.isTTY === true ? columnsOf(out, COLUMNS_DEFAULT) - 1 : COLUMNS_DEFAULT;
  const lines = ['', ...comparison(outcome), '', ...wrap(closingSentence(outcome), columns)];
  out.write(`${lines.join('\n')}\n`);
}
