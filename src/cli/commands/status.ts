/**
 * `godwit status [ID]`: what running migrations of this user are doing, and why they have not switched over
 * yet.
 */

import { askMigration, findMigration, statusOfAll } from '../../controller/index.ts';
import { stateDirectory } from '../../recovery/index.ts';
import type { CommandDefinition } from '../command.ts';
import { STATUS_SCHEMA, statusLines } from '../control/text.ts';
import { EXIT } from '../exit.ts';
import { painter, printable, wantsColour } from '../screen/output.ts';

export const command: CommandDefinition = {
  configure(cli) {
    cli
      .argument('[migration]', 'its id, or the beginning of it; without it, all that run')
      .option('--json', 'print JSON instead of text');
  },
  async run({ out, err }, [name], options) {
    const folder = stateDirectory();
    const { statuses, errors } =
      name === undefined
        ? await statusOfAll(folder)
        : {
            statuses: [await askMigration(folder, findMigration(folder, name), { do: 'status' })],
            errors: [],
          };
    for (const error of errors) err.write(`${printable(error.message)}\n`);
    if (options['json'] === true) {
      out.write(`${JSON.stringify({ schema: STATUS_SCHEMA, migrations: statuses })}\n`);
    } else if (statuses.length === 0) {
      out.write(`no migration is running (looked in ${folder})\n`);
    } else {
      const paint = painter(wantsColour(out));
      out.write(`${statuses.flatMap((status) => statusLines(status, paint)).join('\n')}\n`);
    }
    return errors.length === 0 ? EXIT.ok : EXIT.failed;
  },
};
