/**
 * When a connection that says nothing is asked whether it lives, and when it is given up: a rule without
 * timers (client.ts has them). libvirt's own client asks each 5 s and gives up after 5 questions without any
 * word.
 */

export interface KeepaliveRule {
  readonly intervalMs: number;
  readonly questionsMax: number;
}

export const KEEPALIVE: KeepaliveRule = { intervalMs: 5_000, questionsMax: 5 };

/** Questions since the last word of the peer. */
export interface KeepaliveState {
  readonly questions: number;
  readonly heard: boolean;
}

export const HEARD: KeepaliveState = { questions: 0, heard: true };

/** One interval has passed. Counted in intervals: a process that was itself asleep loses at most one. */
export function keepaliveTick(
  { questions, heard }: KeepaliveState,
  rule: KeepaliveRule,
): { readonly state: KeepaliveState; readonly act: 'nothing' | 'ask' | 'give-up' } {
  if (heard) return { state: { questions: 0, heard: false }, act: 'nothing' };
  if (questions >= rule.questionsMax) return { state: { questions, heard }, act: 'give-up' };
  return { state: { questions: questions + 1, heard }, act: 'ask' };
}
