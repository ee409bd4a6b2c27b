/**
 * One migration over real ssh and TLS between two hosts, and what happens to its link meanwhile.
 * Not responsible for which faults there are (link-fault-cases.ts).
 */

import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { errorCode, errorMessage, MIB, sleep } from '../../src/base/index.ts';
import { FAR_DEFAULTS, type MigrateStep, type MigrationReport, migrate } from '../../src/controller/index.ts';
import {
  type LabPair,
  makeRunFolder,
  type Network,
  openNetwork,
  openPair,
  type Place,
  removeRunFolder,
  runCommand,
  type Vm,
  verifyGuest,
} from '../../src/lab/index.ts';
import { queryStatus } from '../../src/qmp/index.ts';
import { readParameters, strategyByName } from '../../src/strategy/index.ts';
import { GODWIT, openSshHost, type SshHost } from './ssh-rig.ts';

export interface FaultCase {
  readonly id: string;
  /** Where exactly one VM runs in the end. */
  readonly expect: Place;
  /** The report's failure; null for a success. Several where the order of the consequences is open. */
  readonly codes: readonly (string | null)[];
  readonly linkBytesPerSecond?: number;
  readonly downtimeMsMax?: number;
  /** A sed script over what the source tells the far gateway first. */
  readonly editHello?: string;
  /** Instead of the destination host's own address; see Scene.dataPort. */
  readonly dataAddress?: (scene: Scene) => Promise<string>;
  /** Called at each step of the migration; what it returns is waited for at the end, not at the step. */
  readonly onStep?: (step: MigrateStep, scene: Scene) => Promise<void> | undefined;
  /** What must be true of the report and of `seen` besides. */
  readonly complaints?: (report: MigrationReport | null, scene: Scene) => readonly string[];
}

export interface Scene {
  readonly network: Network;
  readonly ssh: SshHost;
  readonly pair: LabPair;
  readonly folder: string;
  /** The far gateway listens for data on it. */
  readonly dataPort: number;
  /** Facts that a case wants in its result. */
  readonly seen: Record<string, unknown>;
  /** What the source said first: the key and the id of the migration. */
  hello(): { readonly key: string; readonly migrationId: string; readonly lanes: number };
  farProcessId(): number;
  /** Puts the far host's end of the link down or up. */
  setLink(state: 'up' | 'down'): Promise<void>;
  /** As a firewall that forgot them: every data connection is reset. */
  breakConnections(): Promise<void>;
}

export interface FaultResult {
  readonly id: string;
  readonly ok: boolean;
  readonly complaints: readonly string[];
  readonly outcome: string | null;
  readonly code: string | null;
  readonly totalMs: number | null;
  readonly downtimeMs: number | null;
  readonly link: MigrationReport['link'];
  readonly transferredBytes: number | null;
  readonly stopAndCopy: MigrationReport['stopAndCopy'] | null;
  readonly sourceState: string;
  readonly destinationState: string;
  readonly badPages: number | null;
  /** From the source's last stop to its running again; null where it did not stop or stayed stopped. */
  readonly stoodStillMs: number | null;
  readonly seen: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
}

const MEMORY_BYTES = 64 * MIB;
const LINK_BYTES_PER_SECOND = 8e6;
const END_TIMEOUT_MS = 10_000;

export async function runFault(one: FaultCase): Promise<FaultResult> {
  const network = await openNetwork({ linkBytesPerSecond: one.linkBytesPerSecond ?? LINK_BYTES_PER_SECOND });
  const folder = makeRunFolder();
  await using undo = new AsyncDisposableStack();
  undo.defer(() => removeRunFolder(folder));
  undo.defer(() => network.close());
  const ssh = await openSshHost(network, folder);
  undo.defer(() => ssh.close());
  const pair = await openPair({
    network,
    memoryBytes: MEMORY_BYTES,
    guest: { workload: 'uniform', hotBytes: 4 * MIB, rateBytesPerSecond: 2 * MIB, seed: 7 },
    disk: 'plain',
    cores: null,
  });
  undo.defer(() => pair.close());
  const scene = await makeScene(network, ssh, pair, folder);
  const stops = watchSource(pair.source);
  const { report, complaints } = await move(one, scene);
  return await look(one, scene, { report, complaints, stoodStillMs: stops() });
}

async function makeScene(network: Network, ssh: SshHost, pair: LabPair, folder: string): Promise<Scene> {
  const { port } = (await network.openPort()).listen;
  const onFarHost = (argv: string[]) => runCommand(network.destination.command(argv));
  const addresses = await onFarHost(['ip', '-o', '-4', 'address', 'show', 'to', ssh.address]);
  const device = addresses.split(/\s+/)[1]!;
  return {
    network,
    ssh,
    pair,
    folder,
    dataPort: port,
    seen: {},
    hello: () => JSON.parse(readFileSync(join(folder, 'hello'), 'utf8')),
    farProcessId: () => Number(readFileSync(join(folder, 'far.pid'), 'utf8')),
    setLink: async (state) => void (await onFarHost(['ip', 'link', 'set', device, state])),
    breakConnections: async () =>
      void (await runCommand(['ss', '-K', '-t', 'dst', ssh.address, 'dport', '=', `${port}`])),
  };
}

/** Starts the far gateway, with its process number and what it is told left in files. */
function farCommand({ folder }: Scene, editHello: string): string[] {
  const script = join(folder, 'far.sh');
  const start = `sh -c 'echo $$ >${folder}/far.pid; exec "$@"' sh ${process.execPath} ${GODWIT} "$@"`;
  // Not in a pipe where it need not be: a shell would wait for the other end of it.
  const command = editHello === '' ? start : `sed -u -e '1w ${folder}/hello' -e '${editHello}' | ${start}`;
  writeFileSync(script, `${command}\n`);
  return ['sh', script];
}

async function move(one: FaultCase, scene: Scene) {
  const strategy = strategyByName('mp');
  const complaints: string[] = [];
  const under: Promise<void>[] = [];
  const dataAddress = (await one.dataAddress?.(scene)) ?? `${scene.ssh.address}:${scene.dataPort}`;
  let report: MigrationReport | null = null;
  try {
    report = await migrate(
      {
        sourceQmpPath: scene.pair.source.controlPath,
        destinationQmpPath: scene.pair.destination.controlPath,
        destinationAddress: null,
        far: {
          reach: { command: scene.ssh.rsh, host: scene.ssh.name },
          remoteCommand: farCommand(scene, one.editHello ?? ''),
          dataAddress,
          connections: FAR_DEFAULTS.connections,
          workers: 1,
          linkTimeoutMs: FAR_DEFAULTS.linkTimeoutMs,
        },
        strategy,
        parameters: readParameters(strategy, []),
        limits: { downtimeMsMax: one.downtimeMsMax ?? 300, timeoutMs: 60_000, onTimeout: 'switch' },
        bandwidthBytesPerSecondMax: null,
        linkBytesPerSecond: null,
        gatewayMemoryBytesMax: 256 * MIB,
        sourceAfter: 'keep',
        ackGate: 'auto',
        stateDirectory: join(scene.folder, 'state'),
      },
      {
        onProgress: () => undefined,
        onIteration: () => undefined,
        onNote: () => undefined,
        onStep: (step) => {
          const going = one.onStep?.(step, scene);
          if (going) under.push(going.catch((error: unknown) => void complaints.push(errorMessage(error))));
        },
      },
      AbortSignal.timeout(120_000),
    );
  } catch (error) {
    complaints.push(`it ended without a report: ${errorMessage(error)} (${errorCode(error)})`);
  }
  await Promise.all(under);
  return { report, complaints };
}

async function look(
  one: FaultCase,
  scene: Scene,
  facts: { report: MigrationReport | null; complaints: string[]; stoodStillMs: number | null },
): Promise<FaultResult> {
  const { report, complaints } = facts;
  const { pair } = scene;
  const code = report?.failure?.code ?? null;
  if (!one.codes.includes(code))
    complaints.push(`it ended with ${code} instead of ${one.codes.join(' or ')}`);
  const [sourceState, destinationState] = [await stateOf(pair.source), await stateOf(pair.destination)];
  const [here, there] =
    one.expect === 'moved' ? [destinationState, sourceState] : [sourceState, destinationState];
  if (here !== 'running' || there === 'running') {
    complaints.push(`the source is "${sourceState}" and the destination "${destinationState}"`);
  }
  let badPages: number | null = null;
  if (here === 'running') {
    badPages = (await verifyGuest(one.expect === 'moved' ? pair.destination : pair.source)).badPages;
    if (badPages > 0) complaints.push(`${badPages} bad pages`);
  }
  complaints.push(...(one.complaints?.(report, scene) ?? []), ...(await leftovers(scene)));
  return {
    id: one.id,
    ok: complaints.length === 0,
    complaints,
    outcome: report?.outcome ?? null,
    code,
    totalMs: report?.totalMigrationTimeMs ?? null,
    downtimeMs: report?.downtimeMs ?? null,
    link: report?.link ?? null,
    transferredBytes: report?.transferredBytes ?? null,
    stopAndCopy: report?.stopAndCopy ?? null,
    sourceState,
    destinationState,
    badPages,
    stoodStillMs: facts.stoodStillMs,
    seen: scene.seen,
    notes: [...(report?.notes ?? []), ...(report?.failure ? [report.failure.text] : [])],
  };
}

async function stateOf(vm: Vm): Promise<string> {
  if (vm.process.ending() !== null) return 'ended';
  return (await queryStatus(vm.qmp).catch(() => ({ status: 'silent' }))).status;
}

/** How long the source stood still before it ran again, by QEMU's clock. */
function watchSource(source: Vm): () => number | null {
  let stoppedMs: number | null = null;
  let stoodStillMs: number | null = null;
  source.qmp.on((event) => {
    if (event.name === 'STOP') stoppedMs = event.timestampMs;
    if (event.name !== 'RESUME' || stoppedMs === null || event.timestampMs === null) return;
    stoodStillMs = event.timestampMs - stoppedMs;
  });
  return () => stoodStillMs;
}

/** The far gateway and our ssh processes end by themselves. */
async function leftovers(scene: Scene): Promise<string[]> {
  const deadlineMs = performance.now() + END_TIMEOUT_MS;
  for (;;) {
    const left = [...livingFar(scene), ...livingSsh(scene)];
    if (left.length === 0 || performance.now() > deadlineMs) return left;
    await sleep(100);
  }
}

function livingFar(scene: Scene): string[] {
  if (!existsSync(join(scene.folder, 'far.pid'))) return [];
  const processId = scene.farProcessId();
  return commandLineOf(processId).includes('receive') ? [`the far gateway ${processId} lives`] : [];
}

function livingSsh(scene: Scene): string[] {
  const names = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  const ours = names.filter((name) => commandLineOf(Number(name)).startsWith(scene.ssh.rsh.join(' ')));
  return ours.map((name) => `ssh process ${name} lives`);
}

function commandLineOf(processId: number): string {
  try {
    return readFileSync(`/proc/${processId}/cmdline`, 'utf8').replaceAll('\0', ' ');
  } catch {
    return '';
  }
}

/** A process group that a `kill -9` on the far host would hit. */
export function killFar(scene: Scene): void {
  execFileSync('kill', ['-9', String(scene.farProcessId())]);
}
