/** The same guest and the same cap between two QEMUs without a libvirt: what libvirt itself adds. */

import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { MIB } from '../../src/base/index.ts';
import { type Network, openPair } from '../../src/lab/index.ts';
import { type Ending, godwit } from '../live/libvirt-scene.ts';
import { GUEST, type MoveOptions } from './move.ts';

/** Downtime in milliseconds; null: it did not arrive. */
export async function runRawMove(t: Ending, network: Network, options: MoveOptions): Promise<number | null> {
  const pair = await openPair({
    ...{ network, memoryBytes: 64 * MIB, disk: 'plain', cores: null },
    guest: { workload: options.workload, ...GUEST },
  });
  const state = mkdtempSync(path.join(tmpdir(), 'gw-raw-'));
  t.after(async () => {
    await pair.close();
    rmSync(state, { recursive: true, force: true });
  });
  const rate = `${options.linkBitsPerSecond}bit/s`;
  const { json } = await godwit(
    [
      ...['migrate', `qmp:${pair.source.controlPath}`, `qmp:${pair.destination.controlPath}`],
      ...['--strategy', options.strategy, '--link-rate', rate, '--bandwidth', rate, '--timeout', '60s'],
    ],
    { GODWIT_STATE_DIR: state },
  );
  return json['outcome'] === 'completed' ? (json['downtimeMs'] as number) : null;
}
