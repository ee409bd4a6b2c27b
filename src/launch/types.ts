/** What is known of the source when its twin is to be started, what is asked, and what comes of it. */

export type Scalar = string | number | boolean;

/** A device that the guest has now and that has a name (`id`). */
export interface PresentDevice {
  readonly id: string;
  readonly type: string;
  /** null: it sits on no bus (a vCPU, a DIMM). */
  readonly bus: string | null;
  /** As QEMU says them; of a device that the command line names only `addr`. */
  readonly properties: Readonly<Record<string, Scalar>>;
}

/** A drive as the guest finds it now. */
export interface PresentDrive {
  /** Name of the drive; empty where -blockdev made it. */
  readonly name: string;
  /** The guest's device: its `id` or its QOM path; null: the drive belongs to none. */
  readonly device: string | null;
  /** What is in it; null: nothing. */
  readonly medium: { readonly file: string; readonly driver: string; readonly node: string } | null;
}

export interface PresentNode {
  readonly name: string;
  readonly driver: string;
  readonly file: string;
  readonly isReadOnly: boolean;
}

export interface PresentObject {
  readonly id: string;
  readonly type: string;
  readonly properties: Readonly<Record<string, Scalar>>;
}

/** How a QEMU is started. */
interface LaunchCommand {
  readonly program: string;
  /** Without the program. */
  readonly words: readonly string[];
  readonly workingFolder: string;
  /** The QMP socket through which godwit controls it. */
  readonly qmpPath: string;
  /** With its alias resolved. */
  readonly machineType: string;
}

/** The source QEMU: how it was started, and what it has become since. */
export interface LaunchSource extends LaunchCommand {
  readonly devices: readonly PresentDevice[];
  readonly drives: readonly PresentDrive[];
  readonly nodes: readonly PresentNode[];
  readonly objects: readonly PresentObject[];
  readonly chardevs: readonly string[];
  /** Files that hold guest memory and that another process may map too. */
  readonly memoryFiles: readonly string[];
}

export interface LaunchAsked {
  /** Where the twin's QMP socket is to be. */
  readonly qmpPath: string;
  /** The twin runs beside its source: what only one process can have is the source's. */
  readonly sameHost: boolean;
  /** What the source names so is named otherwise there. */
  readonly maps: readonly (readonly [from: string, to: string])[];
}

/** refuse: a twin cannot be started so. warn: something is not carried over. info: something is different. */
export interface LaunchNote {
  readonly severity: 'refuse' | 'warn' | 'info';
  readonly text: string;
}

export interface LaunchPlan extends LaunchCommand {
  /** What the twin makes: nothing may be there before, and nothing stays there if it is ended. */
  readonly makes: readonly string[];
  readonly notes: readonly LaunchNote[];
}
