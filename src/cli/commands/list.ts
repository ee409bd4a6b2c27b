/** `godwit list`: the VMs of this host, as `godwit migrate` is told of them. */

import { formatBytes } from '../../base/index.ts';
import { type ListedVm, listVms } from '../../controller/index.ts';
import type { CommandDefinition } from '../command.ts';
import { EXIT } from '../exit.ts';
import { printable } from '../screen/output.ts';

const LIST_SCHEMA = 'godwit.list/1';
const URI_DEFAULT = 'qemu:///system';

export const command: CommandDefinition = {
  configure(cli) {
    cli
      .option('--uri <uri>', `the URI of libvirt (default: ${URI_DEFAULT}, where there is one)`)
      .option('--qmp <path>', 'the QMP socket of a VM that nobody manages; repeatable', collect, [])
      .option('--all', 'list also the domains that do not run')
      .option('--json', 'print JSON instead of text');
  },
  async run({ out, err }, _args, options) {
    const { vms, errors } = await listVms({
      libvirtUri: String(options['uri'] ?? URI_DEFAULT),
      libvirtIsAsked: options['uri'] !== undefined,
      qmpPaths: options['qmp'] as string[],
      inactive: options['all'] === true,
      runtimeFolder: process.env['XDG_RUNTIME_DIR'] ?? null,
    });
    for (const error of errors) err.write(`${printable(error)}\n`);
    if (options['json'] === true) out.write(`${JSON.stringify({ schema: LIST_SCHEMA, vms, errors })}\n`);
    else if (vms.length > 0) out.write(`${rows(vms).join('\n')}\n`);
    else if (errors.length === 0) out.write('no VM runs here\n');
    return errors.length === 0 ? EXIT.ok : EXIT.failed;
  },
};

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}

/** Columns as wide as their widest cell; the last one ends the line. */
function rows(vms: readonly ListedVm[]): string[] {
  const table = [['STATE', 'MEMORY', 'SOURCE'], ...vms.map(cells)];
  const widths = [0, 1].map((column) => Math.max(...table.map((row) => row[column]!.length)));
  return table.map(([state, memory, source]) =>
    `${state!.padEnd(widths[0]!)}  ${memory!.padStart(widths[1]!)}  ${source}`.trimEnd(),
  );
}

function cells({ state, reason, memoryBytes, hasJob, source }: ListedVm): string[] {
  const words = [reason === null ? state : `${state} (${reason})`, ...(hasJob ? ['job'] : [])].join(', ');
  return [printable(words), memoryBytes === null ? 'unknown' : formatBytes(memoryBytes), printable(source)];
}
