/** The list of strategies, and one strategy, as text. */

import { strategies } from '../../strategy/index.ts';
import type { Mechanism, Strategy, StrategyLabel } from '../../vm/index.ts';
import type { Output } from '../command.ts';
import { columnsOf, painter, wantsColour } from '../screen/output.ts';
import { displayWidth, formatTable } from '../screen/table.ts';

const LABELS: Readonly<Record<StrategyLabel, string>> = {
  F: 'read in a source',
  R: 'reconstructed from descriptions',
  O: 'ours',
};

const MECHANISMS: Readonly<Record<Mechanism, string>> = {
  gateway: 'the gateway holds, orders and decides',
  'qemu-precopy': 'QEMU decides by itself, the gateway is transparent; the simulator asks the rule',
  'qemu-auto-converge': "QEMU's throttle, the gateway is transparent",
  'qemu-postcopy': "QEMU's post-copy, the gateway is transparent from there on",
  'model-only': 'simulator only: stock QEMU cannot',
};

const NARROWEST_IDEA = 30;
const WIDTH_WITHOUT_TERMINAL = 120;

export function list(out: Output): string {
  const paint = painter(wantsColour(out));
  const columns = [{ title: 'strategy' }, { title: 'label' }, { title: 'mechanism' }, { title: 'rule' }];
  const fixed = strategies.map(({ name, label, mechanism }) => [name, label, mechanism] as const);
  const used = [0, 1, 2].reduce((sum, column) => {
    const widths = fixed.map((row) => displayWidth(row[column]!));
    return sum + Math.max(columns[column]!.title.length, ...widths) + 2;
  }, 0);
  const width = Math.max(NARROWEST_IDEA, columnsOf(out, WIDTH_WITHOUT_TERMINAL) - used);
  const rows = strategies.flatMap((strategy, index) =>
    wrap(strategy.idea, width).map((line, at) => (at === 0 ? [...fixed[index]!, line] : ['', '', '', line])),
  );
  const labels = Object.entries(LABELS).map(([label, meaning]) => `${label} ${meaning}`);
  return [
    ...formatTable(columns, rows),
    '',
    paint('dim', `label: ${labels.join(', ')}`),
    paint('dim', 'godwit strategies NAME shows one with its parameters; --param name=value sets one'),
  ].join('\n');
}

export function detail(strategy: Strategy, out: Output): string {
  const paint = painter(wantsColour(out));
  const width = Math.max(NARROWEST_IDEA, columnsOf(out, WIDTH_WITHOUT_TERMINAL) - 12);
  const facts: readonly (readonly [string, string])[] = [
    ['rule', strategy.idea],
    ['source', strategy.source],
    ['label', `${strategy.label}: ${LABELS[strategy.label]}`],
    ['mechanism', `${strategy.mechanism}: ${MECHANISMS[strategy.mechanism]}`],
    ...(strategy.simulatorOnly === null
      ? []
      : ([['not live', `simulator only: ${strategy.simulatorOnly}`]] as const)),
    ['drains', strategy.absorb ? 'QEMU faster than the link, up to --gateway-memory' : 'QEMU at link rate'],
    ['promises', strategy.promisesDowntimeLimit ? 'the downtime limit' : 'the downtime it predicts'],
    ['deltas', strategy.delta ? 'against what the destination has' : 'none'],
  ];
  const lines = facts.flatMap(([title, text]) =>
    wrap(text, width).map((line, at) => `${paint('dim', (at === 0 ? title : '').padEnd(10))}  ${line}`),
  );
  return [paint('bold', strategy.name), ...lines, '', ...parameterTable(strategy)].join('\n');
}

function parameterTable({ parameters }: Strategy): string[] {
  if (parameters.length === 0) return ['no parameters'];
  return formatTable(
    [
      { title: 'parameter' },
      { title: 'default', align: 'right' },
      { title: 'allowed' },
      { title: 'unit' },
      { title: 'meaning' },
      { title: 'source' },
    ],
    parameters.map((spec) => [
      spec.name,
      spec.default,
      `${spec.min} .. ${spec.max}`,
      spec.unit,
      spec.meaning,
      spec.source,
    ]),
  );
}

function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && displayWidth(line) + 1 + displayWidth(word) > width) {
      lines.push(line);
      line = word;
    } else line = line === '' ? word : `${line} ${word}`;
  }
  return [...lines, line];
}
