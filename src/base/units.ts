/**
 * Sizes, rates and durations as people write them. Sizes are binary (K = 1024), bit rates decimal (Mbit =
 * 10^6).
 */

import { GodwitError } from './errors.ts';

export const KIB = 1024;
export const MIB = 1024 * 1024;
export const GIB = 1024 * 1024 * 1024;

const SIZE_UNITS: Readonly<Record<string, number>> = { '': 1, k: KIB, m: MIB, g: GIB, t: 1024 * GIB };
const BIT_UNITS: Readonly<Record<string, number>> = { '': 1, k: 1e3, m: 1e6, g: 1e9 };

function refuse(what: string, text: string, examples: string): never {
  throw new GodwitError('USAGE_VALUE', `"${text}" is not a ${what}`, { hint: `write it like ${examples}` });
}

/**
 * Beyond this a number is no longer what was written: a long row of digits would be Infinity, and so
 * no limit at all.
 */
function checked(value: number, what: string, text: string): number {
  if (value <= Number.MAX_SAFE_INTEGER) return value;
  throw new GodwitError('USAGE_VALUE', `"${text.slice(0, 64)}" is too large for a ${what}`, {
    hint: 'write a smaller one',
  });
}

/** A number without a unit may be meant in any; nothing is nothing in each of them. */
function refuseBare(what: string, text: string, examples: string): void {
  if (/^[\d.]*[1-9][\d.]*$/.test(text.trim()))
    throw new GodwitError('USAGE_VALUE', `"${text}" is a ${what} without a unit`, {
      hint: `write it like ${examples}`,
    });
}

/** "512M", "1.5GiB", "4096B" -> bytes. */
export function parseSize(text: string): number {
  refuseBare('size', text, '512M or 4GiB');
  const match = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?b)?$/i.exec(text.trim());
  const unit = match ? SIZE_UNITS[match[2]!.toLowerCase()] : undefined;
  if (!match || unit === undefined) refuse('size', text, '512M or 4GiB');
  return checked(Math.round(Number(match[1]) * unit), 'size', text);
}

/** "200Mbit", "200Mb/s", "1Gbit/s" (bits) or "25MiB/s", "25M" (bytes) -> bytes per second. */
export function parseRate(text: string): number {
  refuseBare('rate', text, '200Mbit, 1Gbit or 25MiB/s');
  const bits = /^(\d+(?:\.\d+)?)\s*([kmg]?)(?:bit(?:\/s)?|b\/s|bps)$/.exec(lowerUnit(text));
  if (bits) return checked(Math.round((Number(bits[1]) * BIT_UNITS[bits[2]!]!) / 8), 'rate', text);
  const bytes = /^(\d+(?:\.\d+)?)\s*([kmgt]?)(?:i?B)?(?:(?<=[a-zA-Z])\/s)?$/.exec(lowerUnit(text));
  if (!bytes) refuse('rate', text, '200Mbit, 1Gbit or 25MiB/s');
  return checked(Math.round(Number(bytes[1]) * SIZE_UNITS[bytes[2]!]!), 'rate', text);
}

// Lower case except for B, which alone tells bytes from bits.
function lowerUnit(text: string): string {
  return text.trim().replace(/[A-Za-z]/g, (letter) => (letter === 'B' ? 'B' : letter.toLowerCase()));
}

/** "300ms", "1.5s", "2m" -> milliseconds. */
export function parseDurationMs(text: string): number {
  refuseBare('duration', text, '300ms, 60s or 5m');
  const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h)?$/.exec(text.trim());
  if (!match) refuse('duration', text, '300ms, 60s or 5m');
  const factor = { ms: 1, s: 1000, m: 60_000, h: 3_600_000 }[match[2] ?? 'ms'] ?? 1;
  return checked(Number(match[1]) * factor, 'duration', text);
}

export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB'];
  let value = bytes;
  let step = 0;
  while (Math.abs(value) >= 1024 && step < units.length - 1) {
    value /= 1024;
    step++;
  }
  return `${step === 0 || Math.abs(value) >= 100 ? value.toFixed(0) : value.toFixed(1)} ${units[step]}`;
}

export function formatRate(bytesPerSecond: number): string {
  return `${formatBytes(bytesPerSecond)}/s`;
}

export function formatMs(durationMs: number): string {
  if (durationMs < 1) return `${durationMs.toFixed(2)} ms`;
  if (durationMs < 1000) return `${durationMs.toFixed(0)} ms`;
  if (durationMs < 100_000) return `${(durationMs / 1000).toFixed(durationMs < 10_000 ? 2 : 1)} s`;
  return `${Math.floor(durationMs / 60_000)} min ${Math.round((durationMs % 60_000) / 1000)} s`;
}

export function formatPercent(share: number): string {
  const percent = share * 100;
  return `${percent > 0 && percent < 10 ? percent.toFixed(1) : percent.toFixed(0)} %`;
}
