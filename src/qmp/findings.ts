/** What a pre-flight comparison says. Not responsible for how it is shown (src/cli). */

/** refuse: the migration would fail or harm the VM. warn: it may. info: worth knowing. */
export type Severity = 'refuse' | 'warn' | 'info';

export type FindingCode =
  | 'SAME_MACHINE'
  | 'LIBVIRT_OWNED'
  | 'MIGRATION_BLOCKED'
  | 'MIGRATION_RUNNING'
  | 'SOURCE_STATE'
  | 'DESTINATION_STATE'
  | 'DESTINATION_LISTENING'
  | 'CAPABILITY_ON'
  | 'PARAMETER_SET'
  | 'CONFIDENTIAL_GUEST'
  | 'DESCRIPTION_SUPPRESSED'
  | 'MACHINE_TYPE'
  | 'ACCELERATOR'
  | 'QEMU_VERSION'
  | 'UUID'
  | 'CPU_MODEL'
  | 'CPU_COUNT'
  | 'CPU_TOPOLOGY'
  | 'CPU_FEATURES'
  | 'CPU_NOT_MIGRATABLE'
  | 'RAM_BLOCKS'
  | 'RAM_SHARED'
  | 'PCI_DEVICE'
  | 'DEVICES'
  | 'ITERATING_STATE'
  | 'DISK_NOT_SHARED'
  | 'DISK_FORMAT'
  | 'DISK_UNSEEN'
  | 'BLOCK_JOB'
  | 'DISK_BITMAPS'
  | 'NOT_COMPARED';

export interface Finding {
  readonly severity: Severity;
  readonly code: FindingCode;
  readonly text: string;
  /** The source's value; null where it does not apply. */
  readonly source: string | null;
  readonly destination: string | null;
}

export function finding(
  severity: Severity,
  code: FindingCode,
  text: string,
  source: string | null = null,
  destination: string | null = null,
): Finding {
  return { severity, code, text, source, destination };
}

/** Up to five words of a list, and how many more there are. */
export function shorten(words: readonly string[]): string {
  const shown = words.slice(0, 5).join(', ');
  return words.length > 5 ? `${shown} and ${words.length - 5} more` : shown;
}
