/** Assertions stay on in production: a broken belief must leave the source VM running, not corrupt a page. */

class AssertionError extends Error {
  override readonly name = 'AssertionError';
  readonly code = 'ASSERTION';
}

export function assert(condition: unknown, belief: string): asserts condition {
  if (!condition) throw new AssertionError(`assertion failed: ${belief}`);
}

/** For the default branch of a switch over a union. */
export function unreachable(value: never, where: string): never {
  throw new AssertionError(`unreachable in ${where}: ${JSON.stringify(value)}`);
}

/** The value, which is believed to be there. */
export function defined<T>(value: T | null | undefined, belief: string): T {
  assert(value !== null && value !== undefined, belief);
  return value;
}
