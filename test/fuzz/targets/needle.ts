/** Targets with a planted fault: only the fuzzer's own tests ask for them. */

import { hoard, readPlanted, spin } from '../planted.testing.ts';
import type { FuzzTarget } from '../target.ts';

const bytes = { codes: /^NEVER$/, generate: () => new Uint8Array(8) };

export const needle: readonly FuzzTarget[] = [
  { ...bytes, name: 'planted-error', run: (input) => void readPlanted(input) },
  { ...bytes, name: 'planted-hang', run: (input) => void spin(input) },
  { ...bytes, name: 'planted-memory', run: (input) => void hoard(input) },
];
