/**
 * Post-copy: from COMMIT on the VM runs at the destination while part of its memory is at the source.
 * What fails then can be joined
 * again by QEMU alone; godwit must touch neither end, and say so.
 */

import { MIGRATE_STEPS, type MigrateStep } from '../../../src/controller/index.ts';
import type { Kind } from '../kind.ts';
import type { Allowance } from '../types.ts';
import { type Role, strikeAll } from './process.ts';

const OPTIONS = ['--strategy', 'postcopy'] as const;
/** Over a gateway at the far side it is refused. */
const SINGLE = ['single'] as const;
const STEPS: readonly MigrateStep[] = MIGRATE_STEPS.filter((step) =>
  ['settings', 'migrate', 'decision', 'stopping', 'drained', 'commit', 'running'].includes(step),
);
const SPLIT: Allowance = { doubt: true, split: true };

function struck(roles: readonly Role[], name: NodeJS.Signals, what: string): Kind {
  return {
    kind: `post-copy, ${what}`,
    rows: [15],
    arrangements: SINGLE,
    steps: STEPS,
    allows: SPLIT,
    scene: { arguments: OPTIONS },
    strike: async (scene) => void strikeAll(scene, roles, name),
  };
}

export const POST_COPY_KINDS: readonly Kind[] = [
  { kind: 'post-copy', rows: [], arrangements: SINGLE, steps: [], scene: { arguments: OPTIONS } },
  struck(['controller'], 'SIGKILL', 'controller killed'),
  struck(['controller', 'guardian'], 'SIGKILL', 'controller and guardian killed'),
  struck(['source'], 'SIGKILL', 'source killed'),
  struck(['destination'], 'SIGKILL', 'destination killed'),
  struck(['controller'], 'SIGINT', 'Ctrl-C'),
];
