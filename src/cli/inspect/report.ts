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
  const tailBytes = tail ? tail.devices.length + tail.end.length : 0;
  return {
    machine: configuration?.machine ?? null,
    /** The QEMU version that introduced this machine type. */
    qemuVersionAtLeast: /^pc-(?:i440fx|q35)-(\d+\.\d+)/.exec(configuration?.machine ?? '')?.[1] ?? null,
    capabilities: configuration?.capabilities ?? null,
    complete: end.complete,
    reason: end.reason,
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
    duplicates: duplicatesOf(collector),
    footers: setup?.footers ?? null,
    blocks,
    commandCount: collector.commandCount,
    commands: collector.commands,
    ramSections: collector.ramSections,
    earlySections: collector.earlySections,
    sections: tail?.sections ?? null,
  };
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
