/**
 * The source gateway: joins QEMU's socket, the intake that takes its stream apart, the sender, and the gates
 * between them. It only obeys: the engine decides which page goes, what is held and when the VM stops. Not
 * responsible for any of its parts' work.
 */

import { assert, type Clock } from '../../base/index.ts';
import { encodePong, PACKAGE_LOADED, type RamSetup, type ReturnPathMessage } from '../../stream/index.ts';
import {
  type Hold,
  type IterationStats,
  type Order,
  PAGE_SIZE_BYTES,
  type Snapshot,
} from '../../vm/index.ts';
import { gatewayErrors } from '../errors.ts';
import type { PageOutput } from '../output/types.ts';
import { Intake } from './intake.ts';
import { IntakeRate } from './intake-rate.ts';
import { Passes } from './passes.ts';
import { isFilled, ReadGate, underWayBytes, waitingPages } from './read-gate.ts';
import { ReturnGate } from './return-gate.ts';
import { Sender } from './sender.ts';
import { snapshotOf } from './snapshot.ts';
import { SourceSocket } from './socket.ts';

export interface SourceGatewayOptions {
  /** Where the source QEMU connects: a unix socket in a private folder. */
  readonly listenPath: string;
  /** Lets QEMU, and nobody else, connect there; called once the socket exists. */
  readonly admitQemu: () => void;
  readonly capabilities: ReadonlySet<string>;
  readonly clock: Clock;
  readonly memoryBytesMax: number;
  readonly absorb: boolean;
  /**
   * Gets a dirty-page trace of the migration, piece by piece (docs/format/trace.md); null: none is wanted.
   */
  readonly record: ((bytes: Uint8Array) => void) | null;
  /** The strategy may use deltas against what the destination has. */
  readonly deltas: boolean;
  /**
   * The switchover-ack is in force: QEMU waits for it. Otherwise it may stop the VM at
   * any moment, see setWaitingMax.
   */
  readonly ackGate: boolean;
  /** Memory for the page store that was touched before. */
  readonly readyChunk?: () => SharedArrayBuffer | null;
  /** The operator's cap on what goes over the link; null: as much as it carries. */
  readonly bandwidthBytesPerSecondMax: number | null;
}

export interface SourceGatewayEvents {
  /** The stream has begun and its layout is known. */
  onLayout(setup: RamSetup): void;
  /** All of RAM and the device sections have arrived: the VM's state is complete at this gateway. */
  onStateComplete?(): void;
  onError(error: Error): void;
}

export interface GatewayRules {
  readonly hold: Hold;
  readonly order: Order;
  readonly closePasses: boolean;
  readonly withholdsPass?: boolean;
}

export class SourceGateway {
  readonly #options: SourceGatewayOptions;
  readonly #events: SourceGatewayEvents;
  readonly #output: PageOutput;
  readonly #socket: SourceSocket;
  readonly #intake: Intake;
  readonly #intakeRate = new IntakeRate();
  readonly #passes = new Passes();
  readonly #gate: ReadGate;
  readonly #sender: Sender;
  readonly #returnGate = new ReturnGate((raw) => this.#socket.write(raw));
  /** The end of the running pass is left unread. */
  #withholdsPass = false;
  #startMs = 0;
  #stopAndCopy = false;
  #closed = false;

  constructor(output: PageOutput, options: SourceGatewayOptions, events: SourceGatewayEvents) {
    this.#output = output;
    this.#options = options;
    this.#events = events;
    this.#gate = new ReadGate(options.ackGate);
    this.#socket = new SourceSocket({
      onData: (chunk) => this.#onData(chunk),
      onClose: (cause) => {
        if (!this.#intake.hasTail) this.#fail(gatewayErrors.sourceClosed(cause));
      },
    });
    const nowMs = () => this.#nowMs();
    this.#intake = new Intake(
      output,
      { ...options, nowMs },
      {
        onLayout: (setup, store) => {
          this.#gate.beginRam(options.clock.nowMs());
          this.#sender.begin(store);
          events.onLayout(setup);
        },
        onTail: () => events.onStateComplete?.(),
        onPostCopy: () => this.enterStopAndCopy(),
      },
    );
    this.#sender = new Sender({
      output,
      gate: this.#gate,
      bandwidthBytesPerSecondMax: options.bandwidthBytesPerSecondMax,
      nowMs,
      isLast: () => this.#intake.isLast,
      onTurn: () => this.#steerReading(),
    });
  }

  async listen(): Promise<void> {
    await this.#socket.listen(this.#options.listenPath, this.#options.admitQemu);
    this.#startMs = this.#options.clock.nowMs();
  }

  #nowMs(): number {
    return this.#options.clock.nowMs() - this.#startMs;
  }

  #onData(chunk: Uint8Array): void {
    try {
      this.#intake.write(chunk);
      const { store } = this.#intake;
      if (store && this.#passes.firstIsDone) this.#intakeRate.arrived(this.#nowMs(), store.arrivedPages);
      this.#steerReading();
      this.#sender.schedule();
    } catch (error) {
      this.#fail(error as Error);
    }
  }

  /** Reads on while there is room, while passes are spaced, and while no more waits than may. */
  #steerReading(): void {
    this.#socket.setWaiting(this.#mustWait());
  }

  #mustWait(): boolean {
    const { store, postCopy } = this.#intake;
    if (store === null) return false;
    if (postCopy.isLast) return postCopy.mustWait;
    if (this.#gate.isFull(store)) return true;
    if (this.#stopAndCopy) return false;
    if (this.#withholdsPass && this.#passes.isNearlyOver(store.arrivedPages)) return true;
    if (!this.#options.absorb && isFilled(store)) return true;
    const waitingBytes = waitingPages(store) * PAGE_SIZE_BYTES + underWayBytes(this.#output.facts);
    return this.#gate.isShut(this.#options.clock.nowMs(), waitingBytes);
  }

  /** The output has room again. */
  pump(): void {
    this.#sender.turn();
  }

  /** From now on, until the VM is stopped; null: no cap. */
  setBandwidthMax(bytesPerSecond: number | null): void {
    if (!this.#stopAndCopy) this.#sender.setBandwidthMax(bytesPerSecond);
    this.#sender.schedule();
  }

  /** QEMU announced pass `passes` (event MIGRATION_PASS). */
  notePass(passes: number): void {
    const nowMs = this.#options.clock.nowMs();
    const arrivedPages = this.#intake.store?.arrivedPages ?? 0;
    this.#gate.beginPass(nowMs, this.#passes.begin(nowMs, passes, arrivedPages));
    if (this.#passes.firstIsDone) this.#intake.beginPass();
    this.#steerReading();
  }

  /** All that is to go before the stop: waiting here, or not loaded by the destination QEMU yet. */
  get restPages(): number {
    const { facts } = this.#output;
    return this.#sender.readyPages + (facts.unloadedPages ?? underWayBytes(facts) / PAGE_SIZE_BYTES);
  }

  get passes(): number {
    return this.#passes.count;
  }

  /** True: QEMU is left unread, so pages that it has not handed over count like those that wait here. */
  get keepsQemuWaiting(): boolean {
    return this.#gate.keepsQemuWaiting;
  }

  /** What QEMU itself says is left in this pass; asked for while it is kept waiting. */
  noteRemaining(remainingPages: number): void {
    this.#passes.remainingPages = remainingPages;
  }

  /**
   * Without the ack, no more than this is read from QEMU before some of it has arrived, and nothing
   * before the first call.
   */
  setWaitingMax(waitingBytesMax: number): void {
    this.#gate.waitingBytesMax = waitingBytesMax;
    this.#steerReading();
  }

  /**
   * The VM is about to be stopped: passes need not be apart any more, and with `heldGoes` held pages are sent
   * too. False without the ack, where nothing changes: a short pass would invite QEMU to stop by itself.
   */
  hurryPasses(heldGoes: boolean): boolean {
    this.#sender.sendsHeld = this.#options.ackGate && heldGoes;
    this.#withholdsPass = false;
    if (this.#options.ackGate) this.#gate.hurry();
    this.#steerReading();
    return this.#options.ackGate;
  }

  /** The VM has stopped: the rest is read as fast as it comes, whatever waits. */
  readRest(): void {
    this.#withholdsPass = false;
    this.#gate.open();
    this.#steerReading();
  }

  setRules({ hold, order, closePasses, withholdsPass = false }: GatewayRules): void {
    this.#intake.store?.index.setHold(hold);
    this.#intake.store?.index.setOrder(order);
    this.#gate.setClose(closePasses);
    this.#withholdsPass = withholdsPass;
    this.#steerReading();
    this.#sender.schedule();
  }

  endIteration(): IterationStats {
    const { store } = this.#intake;
    assert(store, 'an iteration ends after the stream began');
    const stats = store.index.endIteration({
      nowMs: this.#nowMs(),
      passes: this.#passes.endIteration(),
      bandwidthBytesPerSecond: this.#output.facts.bandwidthBytesPerSecond,
    });
    this.#sender.schedule();
    return stats;
  }

  /**
   * To be called every tick: prices follow what pages cost lately, and the sender sees whether the time has
   * brought room.
   */
  refresh(): void {
    const { store } = this.#intake;
    if (!store) return;
    this.#sender.schedule();
    const { wholePageBytes, deltaRecordBytes = 0 } = this.#output.facts;
    if (wholePageBytes === undefined) return;
    store.index.setEncodedBytesEstimate(wholePageBytes);
    store.index.setDeltaHold(this.#intake.payingDeltaBytes(wholePageBytes, deltaRecordBytes));
  }

  /** null before the stream began. */
  snapshot(): Snapshot | null {
    const { store } = this.#intake;
    if (!store) return null;
    return snapshotOf({
      store,
      facts: this.#output.facts,
      passes: this.#passes,
      intakeRate: this.#intakeRate,
      memoryBytesMax: this.#options.memoryBytesMax,
      gateHeld: this.#returnGate.keeps('switchover-ack'),
      keepsQemuWaiting: this.keepsQemuWaiting,
      nowMs: this.#options.clock.nowMs(),
    });
  }

  /** A message on the destination QEMU's return path. */
  onReturnPath(message: ReturnPathMessage, raw: Uint8Array): void {
    this.#returnGate.take(message, raw);
  }

  /** The VM is stopped by command: what still flows is final, everything goes, and QEMU may complete. */
  enterStopAndCopy(): void {
    this.setBandwidthMax(null);
    this.#stopAndCopy = true;
    this.#sender.sendsHeld = true;
    this.#intake.store?.index.setStopAndCopy(true);
    this.#returnGate.letGo('switchover-ack');
    this.#steerReading();
    this.#sender.schedule();
  }

  /** Where nobody may stop the VM by command: QEMU does, as soon as what is left fits its own limit. */
  inviteSwitchover(): void {
    this.#returnGate.letGo('switchover-ack');
    this.readRest();
  }

  /** QEMU was told to go on in post-copy: what keeps it from that is let go. */
  invitePostCopy(): void {
    this.#intake.postCopy.invite();
    this.#returnGate.letGo('switchover-ack');
    this.readRest();
  }

  get isInPostCopy(): boolean {
    return this.#intake.postCopy.hasBegun;
  }

  /** Handed to the connection, QEMU's own bytes in post-copy too. */
  get sentBytes(): number {
    return this.#output.facts.sentBytes;
  }

  /** Resolves when the source has sent its package, and RUN in it, and cannot run by itself any more. */
  get sourceIsPastPackage(): Promise<void> {
    return this.#intake.postCopy.sourceIsPast;
  }

  /** Lets go what was kept back since post-copy began, and then everything as it comes; RUN is part of it. */
  passOn(): void {
    const socket = this.#socket.take();
    assert(socket && this.#output.passOn, 'post-copy has begun, on an output for it');
    this.#returnGate.letGo('shut');
    // Until it hears this, a QEMU of 10.2 or newer takes a failure for one before the start, and runs again.
    this.#socket.write(encodePong(PACKAGE_LOADED));
    this.#output.passOn(socket, this.#intake.postCopy.take());
  }

  /** Resolves when QEMU has nothing more to say before the VM may go, and every page has been handed over. */
  drained(): Promise<void> {
    return this.#sender.drained();
  }

  /**
   * Ends the stream; resolves when the destination proved that RAM and devices
   * are loaded. See PageOutput.complete.
   */
  complete(): Promise<void> {
    return this.#output.complete(this.#intake.tail);
  }

  /** Tells the source QEMU that the destination loaded everything: its migration completes. */
  releaseSource(): void {
    this.#returnGate.letGo('shut');
  }

  #fail(error: Error): void {
    if (this.#closed) return;
    this.close();
    this.#events.onError(error);
  }

  /** Closes both sides; before COMMIT the source QEMU then fails its migration and keeps its VM. */
  close(): void {
    if (!this.#closed) this.#intake.close();
    this.#closed = true;
    this.#sender.close();
    this.#socket.close();
    this.#output.close();
  }
}
