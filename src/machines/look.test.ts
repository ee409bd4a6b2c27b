import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeMachine, fakeQemu } from './fake.testing.ts';
import { look } from './look.ts';

const OPTIONS = {
  ...{ sourceMs: 1, destinationMs: 1, settleMs: 0, asksMigration: true },
  wait: async () => undefined,
};

test('what events tell while the ends are being asked belongs to this look', async () => {
  let touched: string | null = null;
  class Touched extends FakeMachine {
    override async migrationStatus(): Promise<string> {
      touched = 'another client continued it';
      return super.migrationStatus();
    }
  }
  const source = new Touched(fakeQemu('postmigrate'));
  const destination = new FakeMachine(fakeQemu('paused'));
  const ends = await look({ ...OPTIONS, source, destination, touched: () => touched });
  assert.deepEqual(
    [ends.source, ends.destination, ends.touched],
    ['released', 'loaded', 'another client continued it'],
  );
});

test('a destination that still loads is asked again, for as long as it may take', async () => {
  const qemu = fakeQemu('inmigrate');
  let waits = 0;
  const wait = async () => {
    if (++waits === 3) qemu.runState = 'paused';
  };
  const ends = { source: new FakeMachine(fakeQemu(null)), destination: new FakeMachine(qemu) };
  const options = { ...OPTIONS, ...ends, wait, touched: () => null };
  assert.equal((await look({ ...options, settleMs: 20 })).destination, 'empty');
  assert.equal((await look({ ...options, settleMs: 100 })).destination, 'loaded');
});
