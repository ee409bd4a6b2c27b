/**
 * The two contestants of a demo, one after the other on the same link. Not responsible for a contestant's run
 * (src/lab) nor for how it looks (screen.ts).
 */

import { formatBytes, formatMs, formatRate, systemClock } from '../../base/index.ts';
import type { MigrationReport } from '../../controller/index.ts';
import { DOWNTIME_LIMIT_MS_DEFAULT, gatewayMigrator, type Network, runContest } from '../../lab/index.ts';
import type { ParameterValues } from '../../vm/index.ts';
import type { CommandContext } from '../command.ts';
import { fitting } from '../screen/progress-panel.ts';
import {
  type BaselineTime,
  baselineTime,
  type Contestant,
  type DemoOptions,
  PLAIN_PRECOPY,
} from './options.ts';
import type { BaselineRun, ContestantRun, DemoOutcome } from './report.ts';
import { type Act, DemoScreen } from './screen.ts';

/** Boot, fill, dirty rate and checks take this long beside each migration. */
const ACT_OVERHEAD_MS = 10_000;
/** How many passes over memory a migration is expected to take: the first, and some iterations. */
const PASSES_EXPECTED = 1.5;
interface RunOptions {
  readonly contestant: Pick<Contestant, 'title' | 'baseline' | 'downtimeLimitMs'>;
  readonly timeLimitMs: number;
  readonly heading: string;
  readonly parameters: ParameterValues;
  /** The strategy's name in the lab. */
  readonly strategy: string;
  readonly onReport?: (report: MigrationReport) => void;
}

export class Stage {
  readonly #options: DemoOptions;
  readonly #context: CommandContext;
  readonly #network: Network;
  readonly #disk: 'none' | 'plain';
  readonly #screen: DemoScreen;

  constructor(options: DemoOptions, context: CommandContext, network: Network, disk: 'none' | 'plain') {
    this.#options = options;
    this.#context = context;
    this.#network = network;
    this.#disk = disk;
    this.#screen = new DemoScreen(context.err, systemClock);
  }

  async play(): Promise<DemoOutcome> {
    const { contestant, skipBaseline, memoryBytes, linkBytesPerSecond } = this.#options;
    const time = baselineTime(memoryBytes, linkBytesPerSecond);
    this.#introduce(time);
    const baseline = skipBaseline ? null : await this.#baseline(time);
    const run = await this.#contestant(contestant, time, skipBaseline ? '' : '2 of 2: ');
    return { options: this.#options, baseline, contestant: run };
  }

  #introduce(time: BaselineTime): void {
    const { contestant, skipBaseline, memoryBytes, hotBytes, linkBytesPerSecond, workload, seed } =
      this.#options;
    const { rateBytesPerSecond } = this.#options;
    const rate = rateBytesPerSecond === null ? 'as fast as it can' : `at ${formatRate(rateBytesPerSecond)}`;
    const does =
      workload === 'idle'
        ? 'idle'
        : `writes to ${formatBytes(hotBytes)} of it again and again, ${rate} (${workload})`;
    const contestantMs = ACT_OVERHEAD_MS + (PASSES_EXPECTED * memoryBytes * 1000) / linkBytesPerSecond;
    const totalMs = contestantMs + (skipBaseline ? 0 : time.timeLimitMs + ACT_OVERHEAD_MS);
    this.#screen.heading('godwit demo', [
      [
        'guest',
        `${formatBytes(memoryBytes)} of memory, ${does}, seed ${seed}${this.#disk === 'none' ? '; no disk, since qemu-img is not installed' : ''}`,
      ],
      ['link', `${formatRate(linkBytesPerSecond)} (${bits(linkBytesPerSecond)}), ${linkText(this.#network)}`],
      [
        'plan',
        `${skipBaseline ? '' : 'plain QEMU pre-copy, then '}${contestant.title}: about ${roughly(totalMs)}`,
      ],
    ]);
  }

  async #baseline(time: BaselineTime): Promise<BaselineRun> {
    const title = PLAIN_PRECOPY.title;
    const downtimeLimitMs = DOWNTIME_LIMIT_MS_DEFAULT;
    const short =
      time.timeLimitMs < time.cellTimeLimitMs ? `, shortened from ${formatMs(time.cellTimeLimitMs)}` : '';
    const fits = formatBytes(fitting(downtimeLimitMs, this.#options.linkBytesPerSecond));
    const plain = { ...PLAIN_PRECOPY, downtimeLimitMs };
    const heading = `1 of 2: QEMU's own pre-copy, for at most ${formatMs(time.timeLimitMs)}${short}. QEMU stops the VM once what is left fits ${downtimeLimitMs} ms of downtime: ${fits}`;
    const { timeLimitMs } = time;
    const { act, record } = await this.#run({
      contestant: plain,
      timeLimitMs,
      heading,
      parameters: {},
      strategy: 'qemu-precopy',
    });
    return { title, record, lastProgress: act.lastProgress, time, downtimeLimitMs };
  }

  async #contestant(contestant: Contestant, time: BaselineTime, count: string): Promise<ContestantRun> {
    const { strategy, parameters, baseline, title } = contestant;
    let report: MigrationReport | null = null;
    const heading = `${count}${title}, ${contestantAim(contestant)}`;
    const timeLimitMs = time.cellTimeLimitMs;
    const name = baseline ?? strategy.name;
    const onReport = (account: MigrationReport) => {
      report = account;
    };
    const { record } = await this.#run({
      contestant,
      timeLimitMs,
      heading,
      parameters,
      strategy: name,
      onReport,
    });
    return { title, record, report };
  }

  async #run({ contestant, timeLimitMs, heading, parameters, strategy, onReport }: RunOptions) {
    const { memoryBytes, linkBytesPerSecond, workload, hotBytes, rateBytesPerSecond, seed } = this.#options;
    const act: Act = this.#screen.act({
      title: heading,
      contestant,
      memoryBytes,
      linkBytesPerSecond,
      timeLimitMs,
    });
    const gateway = () =>
      gatewayMigrator({
        gatewayMemoryBytesMax: this.#options.gatewayMemoryBytesMax,
        hooks: act.hooks,
        ...(onReport === undefined ? {} : { onReport }),
      });
    try {
      const record = await runContest({
        network: this.#network,
        guest: { workload, hotBytes, rateBytesPerSecond, seed },
        memoryBytes,
        disk: this.#disk,
        strategy,
        parameters,
        migrator: contestant.baseline === null ? gateway() : null,
        downtimeLimitMs: contestant.downtimeLimitMs,
        timeLimitMs,
        onStage: (reached) => act.onStage(reached),
        onBaselineProgress: (progress) => act.onBaselineProgress(progress),
        signal: this.#context.interrupted,
      });
      act.finish(record);
      return { act, record };
    } catch (error) {
      act.abandon();
      throw error;
    }
  }
}

function contestantAim({ strategy, downtimeLimitMs, baseline }: Contestant): string {
  if (baseline !== null) return `downtime limit ${formatMs(downtimeLimitMs)}`;
  if (strategy.mechanism === 'qemu-postcopy') return 'which cannot go back once the VM has moved';
  return strategy.promisesDowntimeLimit
    ? `which promises at most ${formatMs(downtimeLimitMs)} of downtime`
    : 'which promises the downtime that it predicts';
}

const ROUGH_MS = 5000;

function roughly(durationMs: number): string {
  const roundedMs = Math.ceil(durationMs / ROUGH_MS) * ROUGH_MS;
  return roundedMs < 100_000 ? `${roundedMs / 1000} s` : formatMs(roundedMs);
}

function bits(bytesPerSecond: number): string {
  return `${(bytesPerSecond * 8) / 1e6} Mbit/s`;
}

function linkText({ kind, note }: Network): string {
  return kind === 'namespaces' ? 'two network namespaces, shaped by the kernel (tc tbf)' : (note ?? kind);
}
