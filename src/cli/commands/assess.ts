/**
 * `godwit assess qmp:PATH`: measures a running VM without moving it, and predicts how each strategy would
 * move it over which link.
 * Not responsible for measuring (src/controller), predicting (src/simulator) or words (assess/text.ts).
 */

import { GodwitError, parseDurationMs, parseRate, systemClock } from '../../base/index.ts';
import { ASSESS_DURATION_MS, type Assessment, assess, parseQmpEndpoint } from '../../controller/index.ts';
import { stateDirectory } from '../../recovery/index.ts';
import {
  adviceOf,
  confidenceOf,
  guestFactsOf,
  type PredictedMove,
  type PredictOptions,
  predictMoves,
  REPLAYS,
} from '../../simulator/index.ts';
import { strategyByName } from '../../strategy/index.ts';
import { adviceLines, confidenceLine, guestLines, predictionTable, sessionLines } from '../assess/text.ts';
import type { CommandContext, CommandDefinition, CommandOptions } from '../command.ts';
import { commitOf } from '../commit.ts';
import { EXIT } from '../exit.ts';
import { type LiveView, liveView } from '../screen/live.ts';
import { printable } from '../screen/output.ts';
import { collect } from '../simulate/options.ts';

export const ASSESSMENT_SCHEMA = 'godwit.assessment/1';

const STRATEGIES = ['precopy', 'auto-converge', 'frs', 'mp', 'adaptive', 'postcopy'];
const LINKS = ['1Gbit', '10Gbit', '25Gbit'];
const DURATION_MS_MAX = 3_600_000;
const DURATION_MS_MIN = 1000;

export const command: CommandDefinition = {
  handlesInterrupts: true,
  configure(command) {
    command
      .argument('<source>', 'the QEMU whose VM is looked at, as qmp:/path/of/its/qmp.sock')
      .option('--duration <time>', 'how long it is observed', `${ASSESS_DURATION_MS / 1000}s`)
      .option(
        '--link <rate>',
        `a link to predict for; repeatable (default: ${LINKS.join(', ')})`,
        collect,
        [],
      )
      .option(
        '--strategy <name>',
        `to predict for; repeatable (default: ${STRATEGIES.join(', ')})`,
        collect,
        [],
      )
      .option('--downtime-limit <time>', 'how long the VM may stand still', '300ms')
      .option('--latency <time>', 'round trip of the link', '0.2ms')
      .option(
        '--arrangement <kind>',
        'single: a gateway at the source; paired: one at each end, which packs',
        'single',
      )
      .option('--record <file>', 'write the trace to this file too, for godwit simulate --trace')
      .option(
        '--accept-pause',
        'measure also where QEMU knows no switchover-ack: it may then stop the VM for a moment',
      )
      .option('--json', 'print one JSON object on standard output, and progress on standard error');
  },
  async run(context, [endpoint = ''], options) {
    return runAssess(context, endpoint, options);
  },
};

async function runAssess(
  context: CommandContext,
  endpoint: string,
  options: CommandOptions,
): Promise<number> {
  const sourceQmpPath = parseQmpEndpoint(endpoint);
  const asked = readOptions(options);
  const json = options['json'] === true;
  const view = liveView(json ? context.err : context.out, systemClock);
  let assessment: Assessment;
  let predictions: readonly PredictedMove[];
  try {
    assessment = await measure(context, sourceQmpPath, options, view);
    predictions = await predictAll(assessment, asked, context, view);
    view.update([]);
  } finally {
    view.close();
  }
  const guest = guestFactsOf(assessment);
  const advice = adviceOf(predictions, asked.downtimeLimitMs);
  const confidence = confidenceOf(guest, predictions);
  const recommendation = adviceLines(advice, guest, asked.downtimeLimitMs);
  if (json) {
    const { trace: _, cost: _cost, ...session } = assessment;
    const report = {
      schema: ASSESSMENT_SCHEMA,
      commit: commitOf(),
      session,
      ...{ downtimeLimitMs: asked.downtimeLimitMs, arrangement: asked.arrangement, replays: REPLAYS },
      ...{ guest, predictions, confidence, advice, recommendation },
    };
    context.out.write(`${JSON.stringify(report)}\n`);
    return EXIT.ok;
  }
  const lines = [
    ...guestLines(guest),
    '',
    ...predictionTable(predictions),
    '',
    ...recommendation,
    confidenceLine(confidence),
    ...sessionLines(assessment),
  ];
  context.out.write(`${printable(lines.join('\n'))}\n`);
  return EXIT.ok;
}

function readOptions(options: CommandOptions): PredictOptions {
  const links = options['link'] as readonly string[];
  const names = options['strategy'] as readonly string[];
  const arrangement = options['arrangement'];
  if (arrangement !== 'single' && arrangement !== 'paired') {
    throw new GodwitError('USAGE_VALUE', `--arrangement ${String(arrangement).slice(0, 64)} is not known`, {
      hint: 'single or paired',
      safe: 'nothing was started',
    });
  }
  return {
    strategies: (names.length === 0 ? STRATEGIES : names).map((name) => strategyByName(name).name),
    linksBytesPerSecond: (links.length === 0 ? LINKS : links).map(readLink),
    downtimeLimitMs: parseDurationMs(String(options['downtimeLimit'])),
    roundTripMs: parseDurationMs(String(options['latency'])),
    arrangement,
  };
}

/** As the simulator takes it. */
const LINK_MIN = 10_000;

function readLink(text: string): number {
  const rate = parseRate(text);
  if (rate >= LINK_MIN) return rate;
  throw new GodwitError('USAGE_VALUE', `a link of ${text.slice(0, 64)} carries no VM`, {
    safe: 'nothing was started',
  });
}

async function measure(
  context: CommandContext,
  sourceQmpPath: string,
  options: CommandOptions,
  view: LiveView,
): Promise<Assessment> {
  const durationMs = parseDurationMs(String(options['duration']));
  if (durationMs < DURATION_MS_MIN || durationMs > DURATION_MS_MAX) {
    throw new GodwitError('USAGE_VALUE', '--duration is out of range', {
      hint: '1s to 1h',
      safe: 'nothing was started',
    });
  }
  const assessOptions = {
    sourceQmpPath,
    durationMs,
    acceptPause: options['acceptPause'] === true,
    ackGate: 'auto' as const,
    recordPath: typeof options['record'] === 'string' ? options['record'] : null,
    stateDirectory: stateDirectory(),
  };
  const hooks = {
    onProgress: ({ elapsedMs, passes }: { elapsedMs: number; passes: number }) => {
      const seconds = (ms: number) => Math.round(ms / 1000);
      view.update([`observing: ${seconds(elapsedMs)} of ${seconds(durationMs)} s, ${passes} dirty syncs`]);
    },
    onNote: (text: string) => view.log(text),
  };
  return assess(assessOptions, hooks, context.interrupted);
}

async function predictAll(
  assessment: Assessment,
  asked: PredictOptions,
  { interrupted }: CommandContext,
  view: LiveView,
): Promise<readonly PredictedMove[]> {
  const total = asked.strategies.length * asked.linksBytesPerSecond.length;
  const predictions: PredictedMove[] = [];
  for (const prediction of predictMoves(assessment, asked)) {
    predictions.push(prediction);
    view.update([`predicting: ${predictions.length} of ${total}`]);
    // Lets an interrupt in between two predictions.
    await new Promise(setImmediate);
    interrupted.throwIfAborted();
  }
  return predictions;
}
