/** The one error class of the project. Not responsible for printing: src/cli renders it. */

export interface GodwitErrorOptions {
  /** What is known to be safe, for instance "the source VM is running". */
  readonly safe?: string;
  /** What the operator can do next. */
  readonly hint?: string;
  /** Typed facts about the failure, for `--json`. */
  readonly fields?: Readonly<Record<string, string | number | boolean | null>>;
  readonly cause?: unknown;
}

/**
 * An expected failure: `code` is listed in docs/errors.md, `message` is short and does not repeat its cause.
 */
export class GodwitError extends Error {
  override readonly name = 'GodwitError';
  readonly code: string;
  readonly safe: string | null;
  readonly hint: string | null;
  readonly fields: Readonly<Record<string, string | number | boolean | null>>;

  constructor(code: string, message: string, options: GodwitErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.safe = options.safe ?? null;
    this.hint = options.hint ?? null;
    this.fields = options.fields ?? {};
  }
}

/** The code of any thrown value: a GodwitError's, a system error's (`ECONNRESET`), else `INTERNAL`. */
export function errorCode(error: unknown): string {
  if (error !== null && typeof error === 'object' && 'code' in error && typeof error.code === 'string') {
    return error.code;
  }
  return 'INTERNAL';
}

export function errorMessage(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
