/**
 * What `set`, `switch` and `cancel` share: one request to one running migration, and its state after that.
 */

import { askMigration, type ControlRequest, findMigration } from '../../controller/index.ts';
import { stateDirectory } from '../../recovery/index.ts';
import type { CommandDefinition, CommandOptions } from '../command.ts';
import { EXIT } from '../exit.ts';
import { painter, wantsColour } from '../screen/output.ts';
import { STATUS_SCHEMA, statusLines } from './text.ts';

/** `requestOf` reads the options. Errors: MIGRATION_NOT_RUNNING, MIGRATION_AMBIGUOUS, CONTROL_*, USAGE_*. */
export function controlCommand(
  configure: CommandDefinition['configure'],
  requestOf: (options: CommandOptions) => ControlRequest,
): CommandDefinition {
  return {
    configure(cli) {
      cli.argument('<migration>', 'its id, or the beginning of it (godwit status lists them)');
      configure(cli);
      cli.option('--json', 'print JSON instead of text');
    },
    async run({ out }, [name = ''], options) {
      const request = requestOf(options);
      const folder = stateDirectory();
      const status = await askMigration(folder, findMigration(folder, name), request);
      if (options['json'] === true) {
        out.write(`${JSON.stringify({ schema: STATUS_SCHEMA, migrations: [status] })}\n`);
      } else {
        out.write(`${statusLines(status, painter(wantsColour(out))).join('\n')}\n`);
      }
      return EXIT.ok;
    },
  };
}
