/**
 * The lines of the Linux guest's agent (README.md). Its heartbeat has the bare guest's form. Pure. Not
 * responsible for what the lines mean for a run.
 */

/** Every file of the image read again inside the guest. */
export interface FilesVerification {
  readonly files: number;
  readonly pages: number;
  readonly badFiles: number;
  readonly badPages: number;
  /** Whether the guest's program still runs. */
  readonly programAlive: boolean;
  /** Lines of the kernel's and the program's logs that speak of damage. */
  readonly complaintCount: number;
}

export type LinuxLine =
  | { readonly kind: 'ready'; readonly program: string; readonly files: number; readonly pages: number }
  | ({ readonly kind: 'verified' } & FilesVerification)
  | { readonly kind: 'complaint'; readonly text: string };

/** Null for any other line. */
export function parseLinuxLine(line: string): LinuxLine | null {
  const ready = /^L ready program=([a-z-]+) files=(\d{1,9}) pages=(\d{1,9}) beat=\d+$/.exec(line);
  if (ready) {
    return { kind: 'ready', program: ready[1]!, files: Number(ready[2]), pages: Number(ready[3]) };
  }
  const verified =
    /^L verified files=(\d{1,9}) pages=(\d{1,9}) badfiles=(\d{1,9}) badpages=(\d{1,9}) alive=([01]) complaints=(\d{1,9})$/.exec(
      line,
    );
  if (verified) {
    return {
      kind: 'verified',
      files: Number(verified[1]),
      pages: Number(verified[2]),
      badFiles: Number(verified[3]),
      badPages: Number(verified[4]),
      programAlive: verified[5] === '1',
      complaintCount: Number(verified[6]),
    };
  }
  if (line.startsWith('L complaint ')) return { kind: 'complaint', text: line.slice('L complaint '.length) };
  return null;
}
