/**
 * What a person sees while `godwit demo` runs: headings, steps, the live panel, a row for each iteration.
 * Not responsible for what the lines look like (screen/progress-panel.ts) nor for the result (report.ts).
 */

import { type Clock, formatBytes, formatMs } from '../../base/index.ts';
import type { MigrateHooks, ProgressView } from '../../controller/index.ts';
import {
  type BaselineProgress,
  type CellStage,
  isMemoryIntensive,
  MEMORY_INTENSIVE_RATIO,
  type RunRecord,
} from '../../lab/index.ts';
import type { Output } from '../command.ts';
import { type LiveView, liveView } from '../screen/live.ts';
import { columnsOf, painter, printable, wantsColour } from '../screen/output.ts';
import {
  type BaselineContext,
  baselinePanel,
  type Canvas,
  fitting,
  iterationHeader,
  iterationRow,
  migrationPanel,
  wrap,
} from '../screen/progress-panel.ts';
import type { Contestant } from './options.ts';
import { checkLines, lastPassDirtyBytes } from './report.ts';

const COLUMNS_DEFAULT = 100;
const LEFT_SAMPLE_MS = 1000;

export interface ActOptions {
  readonly title: string;
  readonly contestant: Pick<Contestant, 'title' | 'baseline' | 'downtimeLimitMs'>;
  readonly memoryBytes: number;
  readonly linkBytesPerSecond: number;
  readonly timeLimitMs: number;
}

export class DemoScreen {
  readonly #output: Output;
  readonly #clock: Clock;

  constructor(output: Output, clock: Clock) {
    this.#output = output;
    this.#clock = clock;
  }

  heading(title: string, facts: readonly (readonly [string, string])[]): void {
    const canvas = canvasOf(this.#output);
    this.#output.write(`${canvas.paint('bold', title)}\n`);
    for (const [name, text] of facts) this.#output.write(`${factLines(name, text, canvas).join('\n')}\n`);
  }

  /** One contestant's run. */
  act(options: ActOptions): Act {
    return new Act(options, this.#output, this.#clock);
  }
}

/** Read each time, because a terminal may be resized. */
function canvasOf(output: Output): Canvas {
  const columns = output.isTTY === true ? columnsOf(output, COLUMNS_DEFAULT) - 1 : COLUMNS_DEFAULT;
  return { columns, paint: painter(wantsColour(output)) };
}

const FACT_COLUMNS = 10;

function factLines(
  name: string,
  text: string,
  { columns, paint }: Canvas,
  style: 'dim' | null = null,
): string[] {
  return wrap(text, columns - FACT_COLUMNS).map(
    (line, index) =>
      `  ${paint('dim', (index === 0 ? name : '').padEnd(FACT_COLUMNS - 2))}${style === null ? line : paint(style, line)}`,
  );
}

/** A mark, and the text beside it however many lines it takes. */
function markedLines(mark: string, text: string, indent: number, columns: number): string {
  return wrap(text, columns - indent - 2)
    .map((line, index) => `${' '.repeat(indent)}${index === 0 ? mark : ' '} ${line}`)
    .join('\n');
}

export class Act {
  readonly #options: ActOptions;
  readonly #output: Output;
  readonly #live: LiveView;
  readonly #leftBytes: (number | null)[] = [];
  #loggedIterations = 0;
  #lastProgress: BaselineProgress | null = null;
  readonly #notes: string[] = [];
  #rowPending = false;
  #leftSampledMs = Number.NEGATIVE_INFINITY;

  constructor(options: ActOptions, output: Output, clock: Clock) {
    this.#options = options;
    this.#output = output;
    this.#live = liveView(output, clock);
    const { columns, paint } = this.#canvas;
    const heading = wrap(options.title, columns).map((line) => paint('bold', line));
    this.#live.log(`\n${heading.join('\n')}`);
    this.#live.update(['  booting the guest, which fills its memory']);
  }

  get #canvas(): Canvas {
    return canvasOf(this.#output);
  }

  /** The last that QEMU reported; null before its first report. */
  get lastProgress(): BaselineProgress | null {
    return this.#lastProgress;
  }

  onStage(stage: CellStage): void {
    switch (stage.kind) {
      case 'booted':
        this.#fact('boot', `the guest works after ${formatMs(stage.bootMs)}`);
        this.#live.update(['  measuring how fast the guest dirties memory']);
        break;
      case 'measured':
        this.#fact('guest', this.#rateText(stage.rate));
        if (this.#options.contestant.baseline === null)
          this.#live.log(iterationHeader(this.#canvas).join('\n'));
        this.#live.update(['  starting the migration']);
        break;
      case 'moved':
        this.#flushNotes();
        this.#live.update(['  checking: the guest verifies every page, heartbeats, disk log']);
        break;
    }
  }

  #rateText(rate: Extract<CellStage, { kind: 'measured' }>['rate']): string {
    const { linkBytesPerSecond } = this.#options;
    const ratio = (rate.dirtyBytesPerSecond / linkBytesPerSecond).toFixed(2);
    const verdict = isMemoryIntensive(rate, linkBytesPerSecond)
      ? `memory-intensive (${MEMORY_INTENSIVE_RATIO} times or more)`
      : `not memory-intensive (that begins at ${MEMORY_INTENSIVE_RATIO} times)`;
    return `changes ${formatBytes(rate.dirtyBytesPerSecond)} of memory a second, ${ratio} times what the link carries: ${verdict}`;
  }

  onBaselineProgress(progress: BaselineProgress): void {
    this.#lastProgress = progress;
    if (progress.elapsedMs - this.#leftSampledMs >= LEFT_SAMPLE_MS) {
      this.#leftSampledMs = progress.elapsedMs;
      this.#leftBytes.push(progress.remainingBytes);
    }
    const { contestant, timeLimitMs, linkBytesPerSecond } = this.#options;
    const context: BaselineContext = {
      title: contestant.title,
      timeLimitMs,
      downtimeLimitMs: contestant.downtimeLimitMs,
      linkBytesPerSecond,
      leftBytes: this.#leftBytes,
    };
    this.#live.update(baselinePanel(progress, context, this.#canvas));
  }

  readonly hooks: MigrateHooks = {
    onProgress: (view) => this.#onProgress(view),
    onIteration: () => {
      this.#rowPending = true;
    },
    onNote: (text) => {
      this.#notes.push(text);
      if (!this.#rowPending) this.#flushNotes();
    },
  };

  // The row waits for the rule's decision on its iteration, which comes with the next view; notes wait for
  // the row.
  #onProgress(view: ProgressView): void {
    const fresh = view.iterations.filter((stats) => stats.index >= this.#loggedIterations);
    for (const stats of fresh) {
      const last = stats === fresh.at(-1);
      this.#live.log(iterationRow(stats, last ? view.downtimePredictedMs : null));
      this.#loggedIterations = stats.index + 1;
    }
    this.#rowPending = false;
    this.#flushNotes();
    if (fresh.length > 0 && view.phase !== 'stop-and-copy' && view.decision !== null) {
      this.#fact('', `${view.decision.rule}: ${view.decision.text}`, 'dim');
    }
    const { contestant, memoryBytes } = this.#options;
    this.#live.update(migrationPanel(view, { title: contestant.title, memoryBytes }, this.#canvas));
  }

  #flushNotes(): void {
    for (const text of this.#notes.splice(0)) this.#fact('note', printable(text), 'dim');
  }

  #fact(name: string, text: string, style: 'dim' | null = null): void {
    this.#live.log(factLines(name, text, this.#canvas, style).join('\n'));
  }

  /** How it ended and what the checks found. */
  finish(record: RunRecord): void {
    const { columns, paint } = this.#canvas;
    this.#live.update([]);
    this.#live.close();
    const mark = (holds: boolean) => (holds ? paint('green', '✓') : paint('red', '✗'));
    this.#live.log(markedLines(mark(record.success), this.#verdict(record), 2, columns));
    for (const { holds, text } of checkLines(record)) {
      this.#live.log(markedLines(mark(holds), text, 4, columns));
    }
  }

  /** The run was interrupted or failed, and nothing more is shown of it. */
  abandon(): void {
    this.#live.update([]);
    this.#live.close();
  }

  #verdict(record: RunRecord): string {
    const { totalMigrationTimeMs, downtimeMs, transferredBytes, outcome, reason } = record;
    if (outcome === 'completed') {
      const down = downtimeMs === null ? 'downtime not seen' : `${formatMs(downtimeMs)} of downtime`;
      const time = totalMigrationTimeMs === null ? '' : ` in ${formatMs(totalMigrationTimeMs)}`;
      return `moved${time}, ${down}, ${formatBytes(transferredBytes)} over the link`;
    }
    if (outcome === 'timed-out' && this.#lastProgress !== null)
      return this.#givenUp(this.#lastProgress, record);
    return `${outcome}: ${printable(reason ?? 'no reason given')}`;
  }

  #givenUp({ elapsedMs, iteration }: BaselineProgress, record: RunRecord): string {
    const { contestant, linkBytesPerSecond } = this.#options;
    const { downtimeLimitMs } = contestant;
    const dirtyBytes = lastPassDirtyBytes(record);
    const dirty =
      dirtyBytes === null ? '' : `; the last one still found ${formatBytes(dirtyBytes)} to send again`;
    const fits = formatBytes(fitting(downtimeLimitMs, linkBytesPerSecond));
    const limit = `the link carries ${fits} in ${formatMs(downtimeLimitMs)}`;
    return `${contestant.title}: given up after ${formatMs(elapsedMs)}, ${iteration} passes${dirty}; ${limit}`;
  }
}
