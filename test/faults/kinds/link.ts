/** What lies between: the link between two hosts, and on one host each of the four sockets. */

import { MIGRATE_STEPS } from '../../../src/controller/index.ts';
import { WIRES } from '../../live/severable.ts';
import type { Kind } from '../kind.ts';
import type { Scene } from '../scene.ts';
import { NotStruck } from '../types.ts';
import { stepsFrom } from './process.ts';

const DOWN_MS = [1_000, 3_000, 8_000] as const;
const STALLED_MS = [500, 4_000] as const;

async function down(scene: Scene): Promise<() => Promise<void>> {
  const { slot } = scene;
  if (!slot.hasLink) throw new NotStruck('the link is not one of its own here');
  await slot.setLink('down');
  const up = () => slot.setLink('up');
  scene.heal.push(up);
  return up;
}

const LINK: readonly Kind[] = [
  {
    kind: 'link down for a while',
    rows: [5, 9],
    arrangements: ['ssh', 'listen'],
    steps: stepsFrom('listening'),
    allows: { doubt: true, farStays: true },
    async strike(scene) {
      const up = await down(scene);
      scene.later(DOWN_MS[scene.dice.below(DOWN_MS.length)]!, up);
    },
  },
  {
    kind: 'link down for good',
    rows: [5, 9],
    arrangements: ['ssh', 'listen'],
    steps: stepsFrom('listening', 'prepared'),
    allows: { doubt: true, farStays: true },
    strike: async (scene) => void (await down(scene)),
  },
  {
    kind: 'link reset',
    rows: [5],
    arrangements: ['ssh', 'listen'],
    steps: stepsFrom('listening'),
    allows: { doubt: true, farStays: true },
    strike: (scene) => scene.slot.resetConnections(),
  },
];

const WIRE_STEPS = {
  'source-stream': stepsFrom('migrate', 'loaded'),
  'destination-stream': stepsFrom('connected', 'drained'),
  'source-qmp': MIGRATE_STEPS,
  'destination-qmp': MIGRATE_STEPS,
} as const;

const WIRE_KINDS: readonly Kind[] = WIRES.flatMap((wire): Kind[] => [
  {
    kind: `${wire} cut`,
    rows: [9],
    arrangements: ['single'],
    steps: WIRE_STEPS[wire],
    scene: { wires: true },
    async strike(scene) {
      if (!scene.wires.cut(wire)) throw new NotStruck(`there is no ${wire}`);
    },
  },
  {
    kind: `${wire} stalled`,
    rows: [9],
    arrangements: ['single'],
    steps: WIRE_STEPS[wire],
    allows: { doubt: true },
    scene: { wires: true },
    async strike(scene) {
      const goOn = scene.wires.stall(wire);
      if (goOn === null) throw new NotStruck(`there is no ${wire}`);
      scene.heal.push(goOn);
      scene.later(STALLED_MS[scene.dice.below(STALLED_MS.length)]!, goOn);
    },
  },
]);

export const LINK_KINDS: readonly Kind[] = [...LINK, ...WIRE_KINDS];
