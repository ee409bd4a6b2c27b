/**
 * The command line, read as far as the command's own options are, and nothing is started; and the words
 * in it by themselves.
 */

import assert from 'node:assert/strict';
import { type Prng, parseDurationMs, parseRate, parseSize } from '../../../src/base/index.ts';
import type { CommandDefinition, CommandOptions } from '../../../src/cli/command.ts';
import { COMMANDS } from '../../../src/cli/commands.ts';
import { readDemoOptions } from '../../../src/cli/demo/options.ts';
import { main } from '../../../src/cli/main.ts';
import { readMigrateOptions } from '../../../src/cli/migrate/options.ts';
import { simulationOptionsOf, workloadOf } from '../../../src/cli/simulate/options.ts';
import { parseQmpEndpoint, readForce } from '../../../src/controller/index.ts';
import { parseDataAddress } from '../../../src/remote/index.ts';
import { readParameters, strategies, strategyByName } from '../../../src/strategy/index.ts';
import { mutateBytes } from '../mutate.ts';
import type { FuzzTarget } from '../target.ts';

type Read = (args: readonly string[], options: CommandOptions) => void;

const GIB = 2 ** 30;
/**
 * Where a command's options are read apart from what it does. The others end after the command line itself.
 */
const READERS: Readonly<Record<string, Read>> = {
  migrate: (args, options) => void readMigrateOptions(args, options),
  demo: (_, options) => void readDemoOptions(options, 64 * GIB),
  simulate: (_, options) => {
    simulationOptionsOf(options);
    workloadOf(options, 125_000_000);
  },
};

/** Its `run` only reads; what that throws comes out whole, not rendered. */
function onlyRead(definition: CommandDefinition, read: Read, fault: { error: unknown }): CommandDefinition {
  return {
    configure: (command) => definition.configure(command),
    run: async (_, args, options) => {
      try {
        read(args, options);
      } catch (error) {
        fault.error = error;
      }
      return 0;
    },
  };
}

const VALUES = [
  ...['1G', '300ms', '1Gbit', 'max', 'none', '0', '-1', '1e9', 'NaN', 'Infinity', '', '9'.repeat(400), '2s'],
  ...['qmp:/run/a.sock', 'ssh://me@host:22/run/b.sock', 'tls://[fd00::1]:4444', 'host:4444', '[::1]:1'],
  ...[
    'mp',
    'adaptive',
    'frs',
    'uniform',
    'zipf',
    'auto',
    'off',
    'cancel',
    'switch',
    'x=1',
    'a b"c\\',
    '\u001b[2J',
  ],
];
const FLAGS = [
  ...['strategy', 'param', 'downtime-limit', 'timeout', 'on-timeout', 'bandwidth', 'link-rate', 'memory'],
  ...[
    'gateway-memory',
    'source-after',
    'destination-address',
    'start',
    'map',
    'no-far-gateway',
    'insecure',
    'ack-gate',
    'force',
    'dry-run',
  ],
  ...['json', 'rsh', 'data-address', 'workers', 'lanes', 'tls-cert', 'tls-key', 'tls-ca', 'tls-name', 'hot'],
  ...[
    'rate',
    'zipf',
    'busy',
    'quiet',
    'seed',
    'runs',
    'link',
    'latency',
    'fill',
    'body',
    'arrangement',
    'help',
  ],
];

/** Words are divided by zero bytes, as the kernel divides them. */
function generate(prng: Prng): Uint8Array {
  const pick = (list: readonly string[]) => list[prng.below(list.length)]!;
  const args = [pick(COMMANDS.map(({ name }) => name))];
  if (args[0] === 'migrate' && prng.below(4) > 0) args.push('qmp:/run/a.sock', pick(VALUES.slice(13, 18)));
  for (let count = prng.below(6); count > 0; count--) {
    const flag = `--${pick(FLAGS)}`;
    args.push(...(prng.below(3) === 0 ? [`${flag}=${pick(VALUES)}`] : [flag, pick(VALUES)]));
  }
  return Buffer.from(args.join('\0'));
}

export const commandLine: FuzzTarget = {
  name: 'command-line',
  codes: /^(USAGE_|STRATEGY_UNKNOWN|PARAMETER_|TLS_)/,
  inputBytesMax: 4096,
  generate,
  mutate: (bytes, prng) => mutateBytes(bytes, bytes, prng, ['\0', '\0--', '=', ...VALUES]),
  run: async (bytes) => {
    const fault: { error: unknown } = { error: null };
    const commands = COMMANDS.map((entry) => ({
      ...entry,
      load: async () => onlyRead(await entry.load(), READERS[entry.name] ?? (() => undefined), fault),
    }));
    const sink = { write: () => undefined };
    const args = Buffer.from(bytes).toString('utf8').split('\0');
    const code = await main(args, { out: sink, err: sink, commands });
    if (fault.error !== null) throw fault.error;
    assert.ok([0, 1, 2].includes(code), `exit code ${code}`);
  },
};

const PARSERS: readonly ((text: string) => unknown)[] = [
  (text) => assert.ok(Number.isFinite(parseSize(text)) && parseSize(text) >= 0, text),
  (text) => assert.ok(Number.isFinite(parseRate(text)) && parseRate(text) >= 0, text),
  (text) => assert.ok(Number.isFinite(parseDurationMs(text)) && parseDurationMs(text) >= 0, text),
  (text) => parseQmpEndpoint(text),
  (text) => parseDataAddress(text),
  (text) => readForce([text]),
  (text) => strategyByName(text),
  (text) => strategies.map((strategy) => readParameters(strategy, [text])),
];

/** First byte: which parser. */
export const words: FuzzTarget = {
  name: 'words',
  codes: /^(USAGE_|STRATEGY_UNKNOWN|PARAMETER_)/,
  inputBytesMax: 512,
  words: VALUES,
  generate: (prng) =>
    Buffer.concat([
      Buffer.from([prng.below(PARSERS.length)]),
      Buffer.from(VALUES[prng.below(VALUES.length)]!),
    ]),
  run: (bytes) =>
    void PARSERS[(bytes[0] ?? 0) % PARSERS.length]!(Buffer.from(bytes.subarray(1)).toString('utf8')),
};
