/** The owner moves the VM by QEMU alone, without godwit. */

import { join } from 'node:path';
import { sleep } from '../../../src/base/index.ts';
import type { Scene } from '../scene.ts';

const MOVE_TIMEOUT_MS = 20_000;

export async function moveByQemu(scene: Scene, to: 'destination' | 'other'): Promise<void> {
  const [source, destination] = [scene.vm('source').qmp, scene.vm(to).qmp];
  // Whatever a dead godwit left behind.
  await source.execute('migrate_cancel');
  await source.execute('migrate-set-parameters', { 'max-bandwidth': 2 ** 30, 'downtime-limit': 500 });
  const capabilities = [{ capability: 'switchover-ack', state: false }];
  await source.execute('migrate-set-capabilities', { capabilities });
  const uri = `unix:${join(scene.folder, 'by-qemu.sock')}`;
  await destination.execute('migrate-incoming', { uri });
  await source.execute('migrate', { uri });
  const deadlineMs = performance.now() + MOVE_TIMEOUT_MS;
  for (;;) {
    const { status } = (await source.execute('query-migrate')) as { status?: string };
    if (status === 'completed') break;
    if (status === 'failed' || performance.now() > deadlineMs)
      throw new Error(`QEMU alone did not move the VM: it is "${status}"`);
    await sleep(20);
  }
  while (((await destination.execute('query-status')) as { status: string }).status !== 'running') {
    if (performance.now() > deadlineMs) throw new Error('the VM does not run where QEMU moved it');
    await sleep(20);
  }
}
