/**
 * What is fuzzed, as an object; and what its end means. Not responsible for choosing inputs (explore.ts)
 * or for hangs (watch.ts).
 */

import { GodwitError, type Prng } from '../../src/base/index.ts';
import { renderError } from '../../src/cli/screen/output.ts';

export interface FuzzTarget {
  readonly name: string;
  /** Codes of the errors it may end with. */
  readonly codes: RegExp;
  /** Recorded or valid examples that the corpus begins with. */
  readonly seeds?: () => readonly Uint8Array[];
  /** An input by the grammar, mostly valid. */
  readonly generate: (prng: Prng) => Uint8Array;
  /**
   * Damage that knows the grammar (a check made right again, a node of JSON replaced). Default: bytes only.
   */
  readonly mutate?: (bytes: Uint8Array, prng: Prng) => Uint8Array;
  /** Words that stand in such input: mutation writes them anywhere. */
  readonly words?: readonly string[];
  readonly inputBytesMax?: number;
  /** Throws an error of `codes` for input that is refused. Anything else that it throws is a finding. */
  readonly run: (bytes: Uint8Array) => void | Promise<void>;
}

export const INPUT_BYTES_MAX = 256 * 1024;

export interface Finding {
  readonly target: string;
  /** error: a foreign error or a twin that disagrees; hang and memory: beyond the budget of watch.ts. */
  readonly kind: 'error' | 'hang' | 'memory';
  /** Equal for inputs that fail in one place. */
  readonly signature: string;
  readonly text: string;
  readonly input: Uint8Array;
}

/** null: the input was taken, or refused as documented. */
export async function runTarget(target: FuzzTarget, input: Uint8Array): Promise<Finding | null> {
  try {
    await target.run(input);
    return null;
  } catch (error) {
    if (error instanceof GodwitError && target.codes.test(error.code) && isPrintable(error)) return null;
    return {
      target: target.name,
      kind: 'error',
      signature: signatureOf(error),
      text: error instanceof Error ? (error.stack ?? error.message) : String(error),
      input: Uint8Array.from(input),
    };
  }
}

/** Text of an attacker that comes back in an error must not steer the terminal. */
function isPrintable(error: GodwitError): boolean {
  let shown = '';
  const err = { write: (text: string) => (shown += text) };
  renderError(error, { out: err, err, json: false });
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what it looks for
  return !/[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/.test(shown);
}

/**
 * Name of the error and the first two places of ours that it came through; no message, which
 * may hold the input.
 */
function signatureOf(error: unknown): string {
  if (!(error instanceof Error)) return `thrown ${typeof error}`;
  const places = [...(error.stack ?? '').matchAll(/(?:src|test)\/[\w./-]+\.ts:\d+/g)].map(([place]) => place);
  const code = 'code' in error ? ` ${String(error.code)}` : '';
  return [`${error.name}${code}`, ...places.slice(0, 2)].join(' ');
}
