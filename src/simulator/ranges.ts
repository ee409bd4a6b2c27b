/**
 * Ranges of a sweep: one plan document becomes many, by every combination of listed values, or by drawing
 * values at random. Works on the document as read from YAML; what it means, and whether it is right, is for
 * whoever reads plans. Pure.
 */

import { z } from 'zod';
import { GodwitError, Prng, parseRate, parseSize } from '../base/index.ts';

type Json = Readonly<Record<string, unknown>>;

export interface PlanVariant {
  /** Before each key; empty without ranges. */
  readonly label: string;
  readonly document: Json;
}

const scalar = z.union([z.string(), z.number()]);
const values = z.array(scalar).min(1).max(1000);
const interval = z.strictObject({ from: z.number(), to: z.number() });
const schema = z.object({
  /** Every combination. */
  ranges: z.record(z.string(), values).optional(),
  draw: z
    .strictObject({
      /** Virtual machines. */
      count: z.number().int().min(1).max(100_000),
      link: values.optional(),
      memory: values.optional(),
      workload: z.array(z.string()).min(1).optional(),
      /** Of memory, on a log scale. */
      hotShare: interval.optional(),
      /** Written over the link's rate, on a log scale. */
      rateOverLink: interval.optional(),
      zipf: interval.optional(),
    })
    .optional(),
});

const VARIANTS_MAX = 100_000;
const TOP_LEVEL = ['link', 'memory', 'timeLimit', 'warmUp', 'runs', 'seed'];

/** Errors: SWEEP_RANGES. */
export function variantsOf(document: unknown): PlanVariant[] {
  const parsed = schema.safeParse(document);
  if (!parsed.success) {
    throw new GodwitError('SWEEP_RANGES', `the plan's ranges are wrong:\n${z.prettifyError(parsed.error)}`);
  }
  const { ranges = {}, draw, ...rest } = parsed.data as z.infer<typeof schema> & Record<string, unknown>;
  const base: Json = { ...(document as Json), ...rest };
  const { ranges: _ranges, draw: _draw, ...plan } = base as Record<string, unknown>;
  let variants: PlanVariant[] = [{ label: '', document: plan }];
  for (const [name, listed] of Object.entries(ranges)) {
    refuseTooMany(variants.length * listed.length);
    variants = variants.flatMap((variant) => listed.map((value) => vary(variant, name, value)));
  }
  refuseTooMany(variants.length * (draw?.count ?? 1));
  const drawn = draw === undefined ? variants : variants.flatMap((variant) => drawFrom(variant, draw));
  return drawn.map(({ label, document: one }) => ({ label, document: onScale(one) }));
}

/** A guest in terms of its link and memory, so that one plan fits all scales. */
const scaled = z.object({
  /** The hot set takes the link so long, but is at most half of memory. */
  hotSeconds: z.number().positive().max(3600),
  /** And is written so often a second. */
  hotTimesPerSecond: z.number().positive().max(1000),
});

function onScale(document: Json): Json {
  const workloads = document['workloads'];
  if (!Array.isArray(workloads)) return document;
  return { ...document, workloads: workloads.map((workload) => workloadOnScale(workload as Json, document)) };
}

function workloadOnScale(workload: Json, document: Json): Json {
  if (workload === null || typeof workload !== 'object' || !('hotSeconds' in workload)) return workload;
  const parsed = scaled.safeParse(workload);
  if (!parsed.success) {
    throw new GodwitError('SWEEP_RANGES', `a workload's scale is wrong:\n${z.prettifyError(parsed.error)}`);
  }
  const { hotSeconds, hotTimesPerSecond } = parsed.data;
  const { hotSeconds: _seconds, hotTimesPerSecond: _times, ...rest } = workload;
  const memoryBytes = parseSize(String(document['memory']));
  const hotBytes = Math.min(memoryBytes / 2, hotSeconds * parseRate(String(document['link'])));
  return { ...rest, hot: pages(hotBytes), rate: rateText(hotBytes * hotTimesPerSecond) };
}

/** Asked before they are made: a short plan can name more than memory holds. */
function refuseTooMany(count: number): void {
  if (count <= VARIANTS_MAX) return;
  throw new GodwitError('SWEEP_RANGES', `the ranges make more than ${VARIANTS_MAX} combinations`);
}

/** A value of the plan itself, or of every workload in it. */
function vary(variant: PlanVariant, name: string, value: string | number): PlanVariant {
  return { label: `${variant.label}${name}=${value}/`, document: withValue(variant.document, name, value) };
}

function withValue(document: Json, name: string, value: string | number): Json {
  if (TOP_LEVEL.includes(name)) return { ...document, [name]: value };
  const workloads = Array.isArray(document['workloads']) ? (document['workloads'] as Json[]) : [];
  return { ...document, workloads: workloads.map((workload) => ({ ...workload, [name]: value })) };
}

/** What a draw changes must be there, whatever else is wrong with the plan. Errors: SWEEP_RANGES. */
function drawable(document: Json): { readonly workloads: readonly Json[] } {
  const parsed = z.object({ workloads: z.array(z.record(z.string(), z.unknown())) }).safeParse(document);
  if (parsed.success) return parsed.data;
  throw new GodwitError('SWEEP_RANGES', `nothing to draw for:\n${z.prettifyError(parsed.error)}`);
}

type Draw = NonNullable<z.infer<typeof schema>['draw']>;

/** Each virtual machine has a generator of its own: adding one changes no other. */
function drawFrom(variant: PlanVariant, draw: Draw): PlanVariant[] {
  const { workloads: listed } = drawable(variant.document);
  const seed = typeof variant.document['seed'] === 'number' ? variant.document['seed'] : 1;
  return Array.from({ length: draw.count }, (_, index) => {
    const prng = new Prng(seed * 1_000_003 + index);
    const pick = <Value>(list: readonly Value[] | undefined, otherwise: Value): Value =>
      list === undefined ? otherwise : list[prng.below(list.length)]!;
    const between = ({ from, to }: { from: number; to: number }) => from * (to / from) ** prng.unit();
    const link = pick(draw.link, variant.document['link'] as string | number);
    const memory = pick(draw.memory, variant.document['memory'] as string | number);
    const workloads = listed.map((workload) => {
      const drawn: Record<string, unknown> = {
        ...workload,
        workload: pick(draw.workload, String(workload['workload'])),
      };
      if (draw.hotShare) drawn['hot'] = pages(between(draw.hotShare) * parseSize(String(memory)));
      if (draw.rateOverLink) drawn['rate'] = rateText(between(draw.rateOverLink) * parseRate(String(link)));
      if (draw.zipf) drawn['zipf'] = Math.round(between(draw.zipf) * 1000) / 1000;
      return drawn;
    });
    const document = { ...variant.document, link, memory, workloads, seed: (seed + index) % 0xffff_0000 };
    return { label: `${variant.label}vm-${index}/`, document };
  });
}

/** As a plan writes it. */
function pages(sizeBytes: number): string {
  return `${Math.max(1, Math.floor(sizeBytes / 4096)) * 4096}B`;
}

function rateText(bytesPerSecond: number): string {
  return `${Math.round(bytesPerSecond)}B/s`;
}
