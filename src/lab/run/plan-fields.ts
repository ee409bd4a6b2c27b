/** Fields that several parts of a plan share. Not responsible for plans (plan.ts). */

import { z } from 'zod';
import { errorMessage, parseDurationMs } from '../../base/index.ts';

/** By one of the parsers of src/base; a number that YAML read is told why it is none. */
export function measure(parse: (text: string) => number) {
  return z.union([z.string(), z.number()]).transform((value, context) => {
    try {
      return parse(String(value));
    } catch (error) {
      context.addIssue({ code: 'custom', message: errorMessage(error) });
      return z.NEVER;
    }
  });
}

export const duration = measure(parseDurationMs);

export const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9.-]{0,63}$/, 'use lower-case letters, digits, dots and dashes');
