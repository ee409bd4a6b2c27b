/** A migration that QEMU's source gave up by itself: how that is noticed, and QEMU's own reason for it. */

import { GodwitError, sleep } from '../base/index.ts';
import { type QmpEvent, type QmpExecutor, queryMigrate } from '../qmp/index.ts';

const ENDED_EARLY: ReadonlySet<string> = new Set(['failed', 'cancelled', 'cancelling']);

/** The event MIGRATION, with a word of those. */
export function saysGivenUp({ name, data }: QmpEvent): boolean {
  return name === 'MIGRATION' && ENDED_EARLY.has(String(data['status']));
}

/** null: QEMU says nothing of the kind, or does not answer. */
export async function givenUp(source: QmpExecutor): Promise<GodwitError | null> {
  const told = await queryMigrate(source).catch(() => null);
  if (told === null || !ENDED_EARLY.has(told.status)) return null;
  const reason = told.errorDesc ?? `its migration is "${told.status}"`;
  return new GodwitError('SOURCE_FAILED', `the source QEMU gave the migration up: ${reason}`, {
    safe: 'the source VM goes on',
    ...(told.status === 'failed' ? {} : { hint: 'another client of this QEMU has cancelled it' }),
  });
}

/** QEMU connects, then allocates and synchronises its bitmaps; a terabyte of guest takes seconds. */
const LAYOUT_TIMEOUT_MS = 60_000;
const POLL_MS = 500;

/** What `layout` resolves to. Errors: SOURCE_FAILED, SOURCE_SILENT; its `failed`. */
export async function untilLayout(
  source: QmpExecutor,
  layout: Promise<number>,
  failed: Promise<never>,
  timeoutMs = LAYOUT_TIMEOUT_MS,
): Promise<number> {
  const over = new AbortController();
  const asked = async (): Promise<never> => {
    for (let waitedMs = 0; waitedMs < timeoutMs; waitedMs += POLL_MS) {
      await sleep(Math.min(POLL_MS, timeoutMs), over.signal);
      const error = await givenUp(source);
      if (error !== null) throw error;
    }
    throw new GodwitError('SOURCE_SILENT', `the source QEMU has sent no stream within ${timeoutMs} ms`, {
      safe: 'the source VM goes on',
      hint: 'query-migrate and the log of the source QEMU may say why',
    });
  };
  const asking = asked();
  asking.catch(() => undefined);
  try {
    return await Promise.race([layout, failed, asking]);
  } finally {
    over.abort();
  }
}
