/**
 * The guest's serial port: QEMU connects to a unix socket of this process, so no byte is lost before somebody
 * reads. Stamps each line with the monotonic clock. Not responsible for what the lines mean: src/lab/guest
 * parses them.
 */

import { createServer, type Socket } from 'node:net';
import { labError } from '../errors.ts';

const LINE_CHARACTERS_MAX = 4096;
const LINES_KEPT_MAX = 1_000_000;

export interface SerialLine {
  readonly text: string;
  /** Monotonic (performance.now()) time at which its last byte was read. */
  readonly atMs: number;
}

export interface SerialPort {
  /** Every whole line so far. */
  readonly lines: readonly SerialLine[];
  /** What came after the last line end. */
  partial(): string;
  onLine(listener: (line: SerialLine) => void): () => void;
  /** The first line from index `from` on that `accept`s; looks back, then waits. Errors: LAB_VM_FAILED. */
  waitFor(
    accept: (text: string) => boolean,
    options: { timeoutMs: number; what: string; from?: number },
  ): Promise<SerialLine>;
  send(text: string): void;
  close(): Promise<void>;
}

export async function openSerialPort(path: string): Promise<SerialPort> {
  const lines: SerialLine[] = [];
  const listeners = new Set<(line: SerialLine) => void>();
  let partial = '';
  let connection: Socket | null = null;

  const receive = (chunk: Buffer) => {
    const atMs = performance.now();
    const pieces = (partial + chunk.toString('latin1')).split('\n');
    partial = pieces.pop()!.slice(-LINE_CHARACTERS_MAX);
    for (const text of pieces) {
      const line = { text: text.replace(/\r$/, ''), atMs };
      if (lines.length < LINES_KEPT_MAX) lines.push(line);
      for (const listener of listeners) listener(line);
    }
  };
  const server = createServer((socket) => {
    connection = socket;
    socket.on('data', receive);
    socket.on('error', () => {});
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(path, resolve);
  });
  const onLine = (listener: (line: SerialLine) => void) => {
    listeners.add(listener);
    return () => void listeners.delete(listener);
  };
  return {
    lines,
    partial: () => partial,
    onLine,
    waitFor(accept, { timeoutMs, what, from = 0 }) {
      const known = lines.slice(from).find((line) => accept(line.text));
      if (known) return Promise.resolve(known);
      return new Promise((resolve, reject) => {
        const remove = onLine((line) => {
          if (!accept(line.text)) return;
          clearTimeout(timer);
          remove();
          resolve(line);
        });
        const timer = setTimeout(() => {
          remove();
          const last = lines.at(-1)?.text ?? 'nothing';
          reject(
            labError('LAB_VM_FAILED', `no ${what} within ${timeoutMs} ms; the guest last said: ${last}`),
          );
        }, timeoutMs);
      });
    },
    send: (text) => void connection?.write(text),
    async close() {
      connection?.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

/**
 * What the guest wrote, across its move: the serial port's state moves with the VM, so a line may begin at
 * the source and end at the destination. Also tells which line is the destination's first.
 */
export function joinSerial(
  source: Pick<SerialPort, 'lines' | 'partial'>,
  destination: Pick<SerialPort, 'lines' | 'partial'>,
): { readonly lines: readonly SerialLine[]; readonly destinationFrom: number } {
  const [first, ...rest] = destination.lines;
  const joined = first === undefined ? [] : [{ ...first, text: source.partial() + first.text }];
  return { lines: [...source.lines, ...joined, ...rest], destinationFrom: source.lines.length };
}
