/** What `godwit inspect --json` shows of a stream. Pure. */

import type { StreamEnd } from '../../stream/index.ts';
import type { InspectCollector } from './collector.ts';

export type InspectReport = ReturnType<typeof describe>;

export function describe(
  collector: InspectCollector,
  sizeBytes: number,
  end: StreamEnd,
  errorCode: string | null,
) {
  const { configuration, setup, tail, passThrough } = collector;
  const blocks = (setup?.layout.blocks ?? []).map(({ id, sizeBytes: blockBytes }, index) => ({
    id,
    sizeBytes: blockBytes,
    ...collector.blocks[index]!,
  }));
  const duplicates = duplicatesOf(collector);
  const missing = missingMemory(collector, duplicates?.distinctPages ?? null);
  const whole = end.complete === true && missing !== null ? { complete: null, reason: missing } : end;
  const tailBytes = tail ? tail.devices.length + tail.end.length : 0;
  return {
    machine: configuration?.machine ?? null,
    /** The QEMU version that introduced this machine type. */
    qemuVersionAtLeast: /^pc-(?:i440fx|q35)-(\d+\.\d+)/.exec(configuration?.machine ?? '')?.[1] ?? null,
    capabilities: configuration?.capabilities ?? null,
    complete: whole.complete,
    reason: whole.reason,
    error: errorCode,
    passThrough: passThrough && { ...passThrough, sizeBytes: collector.passedBytes },
    sizeBytes,
    ramBytes: tail ? sizeBytes - tailBytes - collector.setupBytes : null,
    deviceBytes: tail?.devices.length ?? null,
    descriptionBytes: tail?.end.length ?? null,
    ramSizeBytes: setup?.layout.sizeBytes ?? null,
    ramPages: setup?.layout.pageCount ?? null,
    /** Counts records, so a page sent three times counts three times. */
    pages: sum(blocks.map(({ pages }) => pages)),
    zeroPages: sum(blocks.map(({ zeroPages }) => zeroPages)),
    duplicates,
    footers: setup?.footers ?? null,
    blocks,
    commandCount: collector.commandCount,
    commands: collector.commands,
    ramSections: collector.ramSections,
    earlySections: collector.earlySections,
    sections: tail?.sections ?? null,
  };
}

/**
 * With x-ignore-shared shared memory is elsewhere, and whether that is whole nobody can tell from here; null:
 * all of it is here.
 */
function missingMemory(
  { configuration, setup }: InspectCollector,
  distinctPages: number | null,
): string | null {
  if (setup === null || configuration?.capabilities?.includes('x-ignore-shared') !== true) return null;
  const { pageCount } = setup.layout;
  if (distinctPages === pageCount) return null;
  const sent = distinctPages === null ? 'perhaps not all' : String(distinctPages);
  return `x-ignore-shared: ${sent} of ${pageCount} pages are in the stream, the others in shared memory`;
}

function duplicatesOf(collector: InspectCollector) {
  const histogram = collector.sendHistogram();
  if (histogram === null) return null;
  const between = (from: number, to: number) => sum(histogram.slice(from, to + 1));
  const distinctPages = between(1, 255);
  const records = sum(collector.blocks.map(({ pages, zeroPages }) => pages + zeroPages));
  return {
    distinctPages,
    resentPages: distinctPages - histogram[1]!,
    /** Records that a later one of the same page made needless. */
    supersededRecords: records - distinctPages,
    pagesBySends: [
      { sends: '1', pages: histogram[1]! },
      { sends: '2', pages: histogram[2]! },
      { sends: '3-4', pages: between(3, 4) },
      { sends: '5-8', pages: between(5, 8) },
      { sends: '9-16', pages: between(9, 16) },
      { sends: '17+', pages: between(17, 255) },
    ],
  };
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0);
}
