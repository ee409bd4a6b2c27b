/**
 * `godwit strategies [NAME]`: the strategies there are, and one in detail. Not responsible for running any.
 */

import { type AnyStrategy, strategies, strategyByName } from '../../strategy/index.ts';
import type { CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { detail, list } from '../strategies/text.ts';

export const command: CommandDefinition = {
  configure(command) {
    command
      .argument('[name]', 'show this one with its rules and parameters')
      .option('--json', 'print JSON instead of text');
  },
  async run({ out }, [name], options) {
    return runStrategies(name, { json: options['json'] === true }, out);
  },
};

/** Writes the list, or one strategy; the exit code. Errors: STRATEGY_UNKNOWN. */
export function runStrategies(name: string | undefined, options: { json: boolean }, out: Output): number {
  if (name === undefined) {
    const text = options.json ? JSON.stringify({ strategies: strategies.map(describe) }) : list(out);
    out.write(`${text}\n`);
    return EXIT.ok;
  }
  const strategy = strategyByName(name);
  out.write(`${options.json ? JSON.stringify(describe(strategy)) : detail(strategy, out)}\n`);
  return EXIT.ok;
}

/** What `--json` shows: everything but the functions. */
function describe(strategy: AnyStrategy) {
  const { start: _start, atIteration: _iteration, atTick: _tick, iterationMs: _length, ...rest } = strategy;
  return rest;
}
