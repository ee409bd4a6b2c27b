/**
 * `godwit migrate SOURCE DESTINATION`: moves a VM between two QEMUs, or with --dry-run says what would
 * happen. Not responsible for the migration (src/controller) nor for what is said (migrate/text.ts).
 */

import { writeFileSync } from 'node:fs';
import { errorCode, errorMessage, formatBytes, GodwitError, systemClock } from '../../base/index.ts';
import {
  checkDomain,
  launchFindings,
  type MigrateDomainOptions,
  type MigrateHooks,
  type MigrateOptions,
  type MigrationReport,
  migrate,
  migrateDomain,
  type Preflight,
  preflight,
  standing,
} from '../../controller/index.ts';
import type { LaunchPlan } from '../../launch/index.ts';
import { listenerName } from '../../remote/index.ts';
import type { CommandContext, CommandDefinition, Output } from '../command.ts';
import { EXIT } from '../exit.ts';
import { isDomain, readDomainOptions } from '../migrate/domain.ts';
import { declareOptions, readMigrateOptions, readSharedOptions } from '../migrate/options.ts';
import {
  findingLines,
  launchLines,
  PREFLIGHT_SCHEMA,
  planLines,
  type ShownFinding,
  summaryLines,
} from '../migrate/text.ts';
import { liveView } from '../screen/live.ts';
import { columnsOf, painter, printable, wantsColour } from '../screen/output.ts';
import { type Canvas, iterationHeader, iterationRow, migrationPanel } from '../screen/progress-panel.ts';

export const command: CommandDefinition = {
  handlesInterrupts: true,
  configure: declareOptions,
  async run(context, args, given) {
    const json = given['json'] === true;
    const how = { json, reportPath: (given['report'] as string | undefined) ?? null };
    if (isDomain(args[0])) {
      const options = readDomainOptions(args, readSharedOptions(given), given);
      if (given['dryRun'] === true) return dryRunDomain(context, options, json);
      // libvirt ends what runs elsewhere.
      const shown = { strategy: options.strategy, sourceAfter: 'quit' } as const;
      return move(context, shown, how, (hooks) => migrateDomain(options, hooks, context.interrupted));
    }
    const options = readMigrateOptions(args, given);
    if (given['dryRun'] === true) return dryRun(context, options, json);
    // The clock of a process begins with it.
    const asked = { ...options, askedAtMs: 0 };
    return move(context, options, how, (hooks) => migrate(asked, hooks, context.interrupted));
  },
};

async function dryRun(context: CommandContext, options: MigrateOptions, json: boolean): Promise<number> {
  let launch: LaunchPlan | null = null;
  const onPlan = (planned: LaunchPlan) => {
    launch = planned;
  };
  const checked = await preflight(options, onPlan, context.interrupted).catch((error: unknown) =>
    unreachableEnd(error, launch),
  );
  const findings: readonly ShownFinding[] = checked.findings;
  const ready = standing(checked.findings as Preflight['findings']).length === 0;
  if (json) {
    context.out.write(`${JSON.stringify(preflightReport(checked, options, launch, ready))}\n`);
  } else {
    const paint = painter(wantsColour(context.out));
    const plan = [
      ...('gate' in checked ? planLines(checked, options, paint) : []),
      ...(launch === null ? [] : launchLines(launch, paint)),
    ];
    const verdict = ready
      ? `${paint('green', '✓')} it would migrate; nothing was changed`
      : `${paint('red', '✗')} it would refuse; nothing was changed`;
    context.out.write(`${[...plan, ...findingLines(findings, paint), verdict].join('\n')}\n`);
  }
  return ready ? EXIT.ok : EXIT.failed;
}

/** libvirt's own word on it: it began the migration and took it back. */
async function dryRunDomain(
  context: CommandContext,
  options: MigrateDomainOptions,
  json: boolean,
): Promise<number> {
  const found = await checkDomain(options, context.interrupted);
  const paint = painter(wantsColour(context.out));
  const text = [
    `${printable(found.name)} (${found.uuid}): ${formatBytes(found.memoryBytes)}, libvirt ${found.libvirtVersion}`,
    found.gate === 'ack'
      ? 'the switchover waits for godwit (switchover-ack)'
      : 'this libvirt does not set the switchover-ack: QEMU may stop the VM by itself once what waits fits',
    `${paint('green', '✓')} it would migrate; nothing was changed`,
  ];
  context.out.write(json ? `${JSON.stringify({ ready: true, ...found })}\n` : `${text.join('\n')}\n`);
  return EXIT.ok;
}

/** An end that cannot be asked is a finding like any other: nothing was compared. */
function unreachableEnd(error: unknown, launch: LaunchPlan | null): { findings: readonly ShownFinding[] } {
  const notes = launch === null ? [] : launchFindings(launch);
  // Its reasons are the notes themselves.
  if (launch !== null && errorCode(error) === 'PREFLIGHT_REFUSED') return { findings: notes };
  if (!(error instanceof GodwitError) || !/^(QMP_|REACH_|START_|LINK_TLS|RECEIVE_)/.test(error.code))
    throw error;
  const text = error.hint === null ? error.message : `${error.message}: ${error.hint}`;
  const none = { source: null, destination: null, forced: false };
  return { findings: [{ severity: 'refuse', code: error.code, text, ...none }, ...notes] };
}

function preflightReport(
  checked: Preflight | { findings: readonly ShownFinding[] },
  options: MigrateOptions,
  launch: LaunchPlan | null,
  ready: boolean,
) {
  const full = 'gate' in checked ? checked : null;
  return {
    schema: PREFLIGHT_SCHEMA,
    ready,
    findings: checked.findings,
    strategy: options.strategy.name,
    parameters: options.parameters,
    limits: options.limits,
    gate: full?.gate ?? null,
    settings: full?.settings ?? null,
    memory: full?.memory ?? null,
    sourceAfter: options.sourceAfter,
    insecureAddress: insecureAddress(options),
    start:
      launch === null
        ? null
        : {
            command: [launch.program, ...launch.words],
            workingFolder: launch.workingFolder,
            makes: launch.makes,
          },
  };
}

/** Where guest memory would go in clear; null: nowhere. */
function insecureAddress({ destinationAddress, far, insecure }: MigrateOptions): string | null {
  const listener = far?.reach.listener ?? null;
  if (listener?.tls === null) return listenerName(listener);
  if (insecure !== true) return null;
  return destinationAddress?.connect ?? (far?.withoutGateway === true ? far.reach.host : null);
}

interface MoveOptions {
  readonly json: boolean;
  readonly reportPath: string | null;
}

type Shown = Pick<MigrateOptions, 'strategy' | 'sourceAfter'>;

async function move(
  context: CommandContext,
  options: Shown,
  how: MoveOptions,
  run: (hooks: MigrateHooks) => Promise<MigrationReport>,
): Promise<number> {
  checkReportPath(how.reportPath);
  const screen = new MoveScreen(how.json ? context.err : context.out, options);
  const onInterrupt = () => screen.interrupted();
  context.interrupted.addEventListener('abort', onInterrupt, { once: true });
  let report: MigrationReport;
  try {
    report = await run(screen.hooks);
  } finally {
    context.interrupted.removeEventListener('abort', onInterrupt);
    screen.close();
  }
  if (how.reportPath !== null) writeReport(how.reportPath, report, context.err);
  if (how.json) context.out.write(`${JSON.stringify(report)}\n`);
  else screen.summary(report);
  if (report.success) return EXIT.ok;
  if (report.outcome === 'in-doubt') return EXIT.inDoubt;
  // The operator's signal ended it: main turns the reason into the signal's exit code.
  if (report.failure?.code === 'CANCELLED' && context.interrupted.aborted) throw context.interrupted.reason;
  return EXIT.failed;
}

/** Found out before anything is touched. Errors: USAGE_REPORT. */
function checkReportPath(reportPath: string | null): void {
  if (reportPath === null) return;
  try {
    writeFileSync(reportPath, '', { flag: 'a' });
  } catch (cause) {
    throw new GodwitError('USAGE_REPORT', `the report cannot be written to ${reportPath}`, {
      cause,
      safe: 'nothing was started or changed',
      hint: 'name a file in a folder that this user may write to',
    });
  }
}

/** The exit code says where the VM is, whether or not that can be written down. */
function writeReport(reportPath: string, report: MigrationReport, err: Output): void {
  try {
    writeFileSync(reportPath, `${JSON.stringify(report, null, 2)}\n`);
  } catch (error) {
    err.write(`the report could not be written to ${reportPath}: ${errorMessage(error)}\n`);
  }
}

const COLUMNS_DEFAULT = 100;

/** Live view and log of one migration. */
class MoveScreen {
  readonly #output: Output;
  readonly #options: Shown;
  readonly #canvas: Canvas;
  readonly #live;
  #memoryBytes = 0;
  #loggedIterations = 0;
  #committed = false;

  constructor(output: Output, options: Shown) {
    this.#output = output;
    this.#options = options;
    const columns = output.isTTY === true ? columnsOf(output, COLUMNS_DEFAULT) - 1 : COLUMNS_DEFAULT;
    this.#canvas = { columns, paint: painter(wantsColour(output)) };
    this.#live = liveView(output, systemClock);
  }

  readonly hooks: MigrateHooks = {
    onPlan: ({ program, qmpPath }) =>
      this.#live.log(`  starting ${printable(program)}, QMP at ${printable(qmpPath)}`),
    onPreflight: (checked) => {
      this.#memoryBytes = checked.memory.guestBytes ?? 0;
      for (const line of findingLines(checked.findings, this.#canvas.paint)) this.#live.log(line);
      if (standing(checked.findings).length === 0) this.#live.log(iterationHeader(this.#canvas).join('\n'));
    },
    onProgress: (view) => {
      // The row waits for the rule's word on its iteration, which comes with the next view.
      for (const stats of view.iterations.filter(({ index }) => index >= this.#loggedIterations)) {
        this.#live.log(iterationRow(stats, view.downtimePredictedMs));
        this.#loggedIterations = stats.index + 1;
      }
      const context = { title: this.#options.strategy.name, memoryBytes: this.#memoryBytes };
      this.#live.update(migrationPanel(view, context, this.#canvas));
    },
    onIteration: () => undefined,
    onNote: (text) => this.#live.log(`  ${printable(text)}`),
    onStep: (step) => {
      if (step === 'commit') this.#committed = true;
    },
  };

  interrupted(): void {
    this.#live.log(
      this.#committed
        ? '  past the commit point: the VM belongs to the destination, finishing'
        : '  cancelling: the source VM goes on',
    );
  }

  close(): void {
    this.#live.update([]);
    this.#live.close();
  }

  summary(report: MigrationReport): void {
    const lines = summaryLines(report, this.#options.sourceAfter, this.#canvas.paint);
    this.#output.write(`${lines.join('\n')}\n`);
  }
}
