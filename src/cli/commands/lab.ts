/**
 * `godwit lab run PLAN`, `godwit lab report RESULTS`, `godwit lab calibrate` and `godwit lab linux`:
 * measurements on real VMs, their tables and plots, the same guests simulated, and the Linux guest's image.
 */

import { GodwitError } from '../../base/index.ts';
import type { CommandDefinition } from '../command.ts';
import { writeReport } from '../lab/report.ts';
import { runLab } from '../lab/run.ts';

export const command: CommandDefinition = {
  handlesInterrupts: true,
  configure(command) {
    command
      .argument(
        '<run|report|calibrate|linux|profile>',
        'run: measure by a plan; report: tables and plots from results; calibrate: live runs beside simulated ones; linux: build the Linux guest; profile: what the stages of this machine take, for the simulator',
      )
      .argument(
        '[file]',
        'the plan (plans/*.yaml), the results (JSON lines), or where the profile goes; linux: the program, default all',
      )
      .option(
        '--results <file>',
        'run, calibrate: where results are added; default results/NAME-OF-THE-PLAN.jsonl, results/calibration.jsonl',
      )
      .option(
        '--only <name>',
        'run, calibrate: only this workload, strategy, or workload/strategy; repeatable',
        collect,
        [],
      )
      .option(
        '--lock <file>',
        'run, calibrate: wait for this lock before each run: one measurement at a time on a machine',
      )
      .option('--record <folder>', 'run: a dirty-page trace of each run of a godwit strategy goes here')
      .option('--out <folder>', 'report: where the files go; default beside the results')
      .option('--json', 'report: print the report as JSON on standard output')
      .addHelpText(
        'after',
        '\nA run that was interrupted goes on where it stopped: give the same command again.',
      );
  },
  async run(context, [action = '', file = ''], options) {
    if (action === 'calibrate') return (await import('../lab/calibrate.ts')).runCalibration(context, options);
    if (action === 'linux') return (await import('../lab/linux.ts')).buildLinux(file, options, context);
    if (file === '' && ['run', 'report', 'profile'].includes(action)) {
      throw new GodwitError('USAGE_VALUE', `godwit lab ${action} needs a file`, {
        hint: 'run takes a plan, report takes results, profile is written',
        safe: 'nothing was started',
      });
    }
    if (action === 'run') return runLab(file, options, context);
    if (action === 'report') return writeReport(file, options, context);
    if (action === 'profile') return (await import('../lab/profile.ts')).writeProfile(file, context);
    throw new GodwitError('USAGE_VALUE', `godwit lab cannot "${action.slice(0, 64)}"`, {
      hint: 'godwit lab run PLAN, godwit lab report RESULTS, godwit lab calibrate, godwit lab linux, or godwit lab profile FILE',
      safe: 'nothing was started',
    });
  },
};

function collect(value: string, earlier: readonly string[]): string[] {
  return [...earlier, value];
}
