/**
 * The stage of one fault: a running source, a destination that waits, folders of their own, and the command
 * lines that move the VM between them. Not responsible for striking (kinds/) nor for judging (judge.ts).
 */

import { randomUUID } from 'node:crypto';
import { chmodSync, chownSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { MIB, Prng, sleep } from '../../src/base/index.ts';
import {
  GUEST_BINARY_PATH,
  type GuestOptions,
  guestCommandLine,
  makeRunFolder,
  parseGuestLine,
  removeRunFolder,
  runCommand,
  startVm,
  type Vm,
} from '../../src/lab/index.ts';
import { openWires, type Wires } from '../live/severable.ts';
import { type Command, type Ended, startGodwit } from './command.ts';
import type { Violation } from './judge.ts';
import { MARK, markedProcesses, signal } from './processes.ts';
import type { Slot } from './slot.ts';
import type { End, Fault, FaultArrangement, SceneOptions } from './types.ts';
import { RunWatch } from './watch.ts';
import { ListenWay, nearWay, sshWay } from './ways.ts';

const MEMORY_BYTES = 32 * MIB;
const IMAGE_BYTES = 64 * MIB;
const READY_TIMEOUT_MS = 60_000;
const NOBODY = 65_534;
const GUEST: Partial<GuestOptions> = {
  workload: 'uniform',
  hotBytes: 4 * MIB,
  rateBytesPerSecond: 8 * MIB,
};
/** Paced, so that each pass lasts; the decision comes within moments, whatever the rule thinks. */
const MIGRATE_OPTIONS = [
  ...['--bandwidth', '320Mbit', '--gateway-memory', '64M', '--timeout', '3s'],
  ...['--on-timeout', 'switch', '--downtime-limit', '300ms'],
];
/** Half of a command's processor time is its start; the faults are about what comes then. */
const COMPILE_CACHE = join(tmpdir(), `godwit-faults-compiled-${userInfo().uid}`);

export class Scene {
  readonly fault: Fault;
  readonly options: SceneOptions;
  readonly slot: Slot;
  readonly dice: Prng;
  readonly mark = randomUUID();
  readonly folder = makeRunFolder();
  readonly temporary = join(this.folder, 't');
  readonly state: string;
  readonly vms = new Map<End, Vm>();
  readonly watch = new RunWatch();
  /** The strike stopped a VM that had arrived: it stands as its owner wants it. */
  stoppedThere = false;
  /** Ends whose QEMU the strike has killed. */
  readonly killed = new Set<End>();
  /** What the strike did and must not last: undone before the operator resolves. */
  readonly heal: (() => Promise<void> | void)[] = [];
  /** Undone last of all, when everything was looked at. */
  readonly atEnd: (() => Promise<void>)[] = [];
  /** Commands besides the one that is struck, by the end that each was to move the VM to. */
  readonly others: { readonly to: End; readonly ended: Promise<Ended> }[] = [];
  /** A second copy where the owner has moved the VM away from. */
  readonly mustNotRun = new Set<End>();
  /** The strike may have ended the command itself. */
  mayEndBySignal = false;
  /** What goes on meanwhile: waited for before anything is judged. */
  readonly under: Promise<unknown>[] = [];
  /** What only the kind can see: between its own acts. */
  readonly complaints: Violation[] = [];
  /** What the strike wants told in the result. */
  readonly notes: string[] = [];
  /** The far side that waits; null in other arrangements. */
  listener: ListenWay | null = null;
  #wires: Wires | null = null;
  #command: Command | null = null;

  private constructor(fault: Fault, options: SceneOptions, slot: Slot) {
    this.fault = fault;
    this.options = options;
    this.slot = slot;
    this.dice = new Prng(fault.seed * 100_003 + fault.index);
    this.state = options.stateDirectory ?? join(this.folder, 'state');
  }

  static async open(fault: Fault, options: SceneOptions, slot: Slot): Promise<Scene> {
    const scene = new Scene(fault, options, slot);
    try {
      mkdirSync(scene.temporary);
      // QEMU makes its sockets there; godwit's own temporary folder stays root's.
      if (options.otherUser) chownSync(scene.folder, NOBODY, NOBODY);
      if (options.disk) {
        const image = scene.imagePath!;
        await runCommand(['qemu-img', 'create', '-q', '-f', 'qcow2', image, String(IMAGE_BYTES)]);
      }
      await scene.#boot('source');
      await scene.boot('destination');
      if (options.wires) {
        const [source, destination] = [scene.vm('source'), scene.vm('destination')];
        scene.#wires = await openWires(scene.folder, source.controlPath, destination.controlPath);
      }
      if (fault.arrangement === 'listen') {
        const { controlPath } = scene.vm('destination');
        scene.listener = await ListenWay.open(slot, controlPath, scene.#environment);
      }
      return scene;
    } catch (error) {
      await scene.close();
      throw error;
    }
  }

  get imagePath(): string | null {
    return this.options.disk ? join(this.folder, 'disk.qcow2') : null;
  }

  vm(end: End): Vm {
    return this.vms.get(end)!;
  }

  get wires(): Wires {
    return this.#wires!;
  }

  async #boot(end: End): Promise<void> {
    const vm = await this.#start(end, end !== 'source');
    this.vms.set(end, vm);
    if (end === 'source' && !this.options.paused) {
      await vm.serial.waitFor((text) => parseGuestLine(text).kind === 'ready', {
        timeoutMs: READY_TIMEOUT_MS,
        what: 'ready guest',
      });
    }
    this.watch.add(end, vm, end === 'source' && !this.options.paused);
  }

  /** Another VM under the same name. */
  restartSource(): Promise<void> {
    return this.#boot('source');
  }

  /** A QEMU that waits for the VM. */
  async boot(end: Exclude<End, 'source'>): Promise<Vm> {
    await this.#boot(end);
    return this.vm(end);
  }

  #start(end: End, incoming: boolean): Promise<Vm> {
    const { options } = this;
    const ram = `memory-backend-file,id=ram0,mem-path=${join(this.folder, 'ram')},share=on,size=${MEMORY_BYTES / MIB}M`;
    const guest = { ...GUEST, seed: 1 + (this.fault.index % 1000), disk: options.disk === true };
    const isFar = end !== 'source' && this.fault.arrangement !== 'single';
    return startVm({
      name: end,
      folder: this.folder,
      host: { name: isFar ? 'destination' : 'source', command: (argv) => this.#onHost(end, isFar, argv) },
      ...(options.machine ? { machine: options.machine } : {}),
      memoryBytes: MEMORY_BYTES,
      kernel: GUEST_BINARY_PATH,
      commandLine: guestCommandLine(guest),
      disk: this.imagePath === null ? null : { image: this.imagePath, iothread: false },
      incoming,
      paused: options.paused === true && !incoming,
      extra: [
        ...['-qmp', `unix:${this.spareMonitor(end)},server=on,wait=off`],
        ...(options.sharedRam ? ['-object', ram, '-machine', 'memory-backend=ram0'] : []),
      ],
    });
  }

  #onHost(end: End, isFar: boolean, argv: readonly string[]): string[] {
    // The rig listens there, as itself.
    if (this.options.otherUser) chmodSync(join(this.folder, `${end}-serial.sock`), 0o666);
    const user = ['setpriv', `--reuid=${NOBODY}`, `--regid=${NOBODY}`, '--clear-groups', '--'];
    const asUser = this.options.otherUser ? [...user, ...argv] : [...argv];
    return isFar ? this.slot.network!.destination.command(asUser) : asUser;
  }

  /** A third QMP socket: for a second `godwit`, as the first holds its own. */
  spareMonitor(end: End): string {
    return join(this.folder, `${end}-spare.sock`);
  }

  get env(): NodeJS.ProcessEnv {
    return { ...process.env, ...this.#environment, GODWIT_STATE_DIR: this.state };
  }

  get #environment(): Readonly<Record<string, string>> {
    return { [MARK]: this.mark, TMPDIR: this.temporary, NODE_COMPILE_CACHE: COMPILE_CACHE };
  }

  /** The command that is struck. */
  startMove(): Command {
    const { fault, options } = this;
    const source = options.wires ? this.wires.sourceQmpPath : this.vm('source').controlPath;
    const destination = options.wires ? this.wires.destinationQmpPath : this.vm('destination').controlPath;
    this.#command = startGodwit(this.migrateArguments(source, destination), {
      env: this.env,
      strike: fault.step === null ? null : { step: fault.step, afterMs: fault.afterMs },
      ...(options.reader ? { reader: options.reader } : {}),
    });
    return this.#command;
  }

  get command(): Command {
    return this.#command!;
  }

  /** `how`: default as the fault has it. */
  migrateArguments(
    sourceQmpPath: string,
    destinationQmpPath: string,
    how = this.fault.arrangement,
  ): string[] {
    const { options } = this;
    return [
      'migrate',
      `qmp:${sourceQmpPath}`,
      ...this.#way(how, destinationQmpPath),
      ...MIGRATE_OPTIONS,
      ...['--on-end', `echo $GODWIT_MIGRATION $GODWIT_OUTCOME >> ${this.#toldPath}`],
      ...(options.text ? [] : ['--json']),
      ...(options.arguments ?? []),
    ];
  }

  #way(how: FaultArrangement, destinationQmpPath: string): readonly string[] {
    if (how === 'listen') return this.listener!.words;
    return how === 'ssh'
      ? sshWay(this.slot, destinationQmpPath, this.#environment)
      : nearWay(destinationQmpPath);
  }

  get #toldPath(): string {
    return join(this.folder, 'told');
  }

  /** What --on-end was told of one migration, oldest first; of the only one, or the one that is struck. */
  told(): string[] {
    if (!existsSync(this.#toldPath)) return [];
    const lines = readFileSync(this.#toldPath, 'utf8').trim().split('\n');
    const [first] = lines[0]!.split(' ');
    const isOne = lines.every((line) => line.startsWith(`${first} `));
    return isOne ? lines.map((line) => line.split(' ')[1]!) : [];
  }

  /** `godwit` beside the one that is struck, or after it. */
  run(...args: string[]): Promise<Ended> {
    return startGodwit(args, { env: this.env }).ended;
  }

  startOther(to: End, args: readonly string[]): Command {
    const command = startGodwit(args, { env: this.env });
    this.others.push({ to, ended: command.ended });
    return command;
  }

  /** The fault itself is mended, as an operator would. */
  async recoverFromStrike(): Promise<void> {
    await Promise.all(this.under.splice(0));
    for (const step of this.heal.splice(0)) await step();
  }

  later(delayMs: number, act: () => Promise<void> | void): void {
    this.under.push(sleep(delayMs).then(act));
  }

  addJournal(migrationId: string, text: string): void {
    const folder = join(this.state, 'migrations', migrationId);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    writeFileSync(join(folder, 'journal.jsonl'), text, { mode: 0o600 });
  }

  async close(): Promise<void> {
    await this.recoverFromStrike();
    for (const { pid } of markedProcesses(this.mark)) signal(pid, 'SIGKILL');
    this.#wires?.close();
    await this.listener?.close();
    await Promise.all([...this.vms.values()].map((vm) => vm.close()));
    for (const step of this.atEnd) await step().catch(() => undefined);
    removeRunFolder(this.folder);
  }
}
