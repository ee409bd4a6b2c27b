/**
 * The world of the model as one short row of bytes: which byte means what. Not responsible for what may
 * happen (environment.ts).
 */

export type World = Uint8Array;

/** Three QEMUs: the VM's own, migration A's destination, migration B's destination. */
export const QEMU_COUNT = 3;
const QEMU_BYTES = 4;
const QUEUE_MAX = 3;

export const RUN = {
  gone: 0,
  /** Waits for the VM. */
  empty: 1,
  /** Has loaded the whole VM and is "inmigrate" still. */
  whole: 2,
  loaded: 3,
  running: 4,
  /** Paused after it ran. */
  stopped: 5,
  /** In its final stage by itself: it runs again when its stream dies before it has completed. */
  final: 6,
  /** Another QEMU at the same socket, with another VM in it. */
  foreign: 7,
} as const;

export const OUTGOING = { none: 0, active: 1, completed: 2, ended: 3 } as const;

/** Of a QEMU. */
export const MARK = {
  /** It will run once it is loaded: told so by us, or by another client. */
  autostart: 1,
  autostartByOther: 2,
  /** What runs here was started by another client. */
  byOther: 4,
  /** A command of ours has had the VM run here. */
  ranByUs: 8,
  /** Another client stopped it before we did. */
  stoppedByOther: 16,
  /** Another client reset it after it had loaded, or had the VM run on elsewhere. */
  spoilt: 32,
  /** A whole copy of a VM that ran on elsewhere since, by us or by QEMU itself. */
  wentOn: 64,
  locked: 128,
} as const;

export function runAt(qemu: number): number {
  return qemu * QEMU_BYTES;
}
export function outgoingAt(qemu: number): number {
  return qemu * QEMU_BYTES + 1;
}
export function marksAt(qemu: number): number {
  return qemu * QEMU_BYTES + 2;
}
/** 0: no claim; else the migration's number plus 1. */
export function claimAt(qemu: number): number {
  return qemu * QEMU_BYTES + 3;
}

const MIGRATIONS_AT = QEMU_COUNT * QEMU_BYTES;
/** Two parties may work on a journal, if the lock lets them. */
export const SLOT_COUNT = 2;
const SLOT_BYTES = 4;
const MIGRATION_BYTES = 5 + QUEUE_MAX + SLOT_COUNT * SLOT_BYTES;
export const MIGRATION_COUNT = 2;

/** Of a journal; in the file, and surely on the disk. */
export const LINE = {
  begin: 1,
  stop: 2,
  prepared: 4,
  commit: 8,
  running: 16,
  continue: 32,
  torn: 64,
  end: 128,
} as const;

export const TOLD = { nothing: 0, aborted: 1, completed: 2, inDoubt: 3, leftAsItIs: 4 } as const;

export const PAST = {
  controllerDied: 1,
  guardianDied: 2,
  guardianDone: 4,
  linkCut: 8,
} as const;

function migrationAt(migration: number): number {
  return MIGRATIONS_AT + migration * MIGRATION_BYTES;
}
export function linesAt(migration: number): number {
  return migrationAt(migration);
}
export function durableAt(migration: number): number {
  return migrationAt(migration) + 1;
}
export function toldAt(migration: number): number {
  return migrationAt(migration) + 2;
}
export function pastAt(migration: number): number {
  return migrationAt(migration) + 3;
}
/** An act that was not waited for and may still happen; the effect's number, 0: none. */
export function strayAt(migration: number): number {
  return migrationAt(migration) + 4;
}
/** Commands on their way to the destination, oldest first; 0: none. */
export function queueAt(migration: number, index: number): number {
  return migrationAt(migration) + 5 + index;
}

export const ROLE = { none: 0, controller: 1, guardian: 2, resolve: 3 } as const;

/** Of a party. */
export const SEES = {
  /** An event told it of another client's act since the stop. */
  touched: 1,
  /** Another client acted after this party's last look. */
  actedSinceLook: 2,
  /** Another client had a VM run in the moment between the last look and what follows from it. */
  startedTooLate: 4,
  lostUsed: 8,
} as const;

function slotAt(migration: number, slot: number): number {
  return migrationAt(migration) + 5 + QUEUE_MAX + slot * SLOT_BYTES;
}
export function roleAt(migration: number, slot: number): number {
  return slotAt(migration, slot);
}
export function seesAt(migration: number, slot: number): number {
  return slotAt(migration, slot) + 1;
}
/** The machine's state by its number (machines.ts), low byte first. */
function stateAt(migration: number, slot: number): number {
  return slotAt(migration, slot) + 2;
}
export function stateOf(world: World, migration: number, slot: number): number {
  const at = stateAt(migration, slot);
  return world[at]! | (world[at + 1]! << 8);
}
export function setState(world: World, migration: number, slot: number, state: number): void {
  const at = stateAt(migration, slot);
  world[at] = state & 255;
  world[at + 1] = state >> 8;
}

const BUDGETS_AT = MIGRATIONS_AT + MIGRATION_COUNT * MIGRATION_BYTES;
/** How often each may still happen. */
export const BUDGET_NAMES = ['crash', 'other', 'net', 'late', 'cancel', 'resolve', 'forget', 'lock'] as const;
export type BudgetName = (typeof BUDGET_NAMES)[number];
export type Budgets = Readonly<Record<BudgetName, number>>;
export function budgetAt(name: BudgetName): number {
  return BUDGETS_AT + BUDGET_NAMES.indexOf(name);
}

/** Something outside of us ended or stopped the copy that ran. */
export const EXCUSE_AT = BUDGETS_AT + BUDGET_NAMES.length;
export const WORLD_BYTES = EXCUSE_AT + 1;
export { QUEUE_MAX };

export function has(world: World, at: number, bit: number): boolean {
  return (world[at]! & bit) !== 0;
}
export function put(world: World, at: number, bit: number, on = true): void {
  world[at] = on ? world[at]! | bit : world[at]! & ~bit;
}
