import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { QmpClient } from '../../qmp/index.ts';
import { DestinationWatch } from './destination-watch.ts';

function watched() {
  let tell: (name: string) => void = () => undefined;
  const destination = {
    on: (listener: (event: { name: string }) => void) => {
      tell = (name) => listener({ name });
      return () => undefined;
    },
  } as unknown as Pick<QmpClient, 'on'>;
  return { watch: new DestinationWatch(destination), tell: (name: string) => tell(name) };
}

test('the VM is touched by what nobody here asked for', () => {
  const { watch, tell } = watched();
  tell('MIGRATION');
  assert.equal(watch.touched, null);
  tell('RESET');
  tell('RESUME');
  assert.match(watch.touched!, /RESET/);
});

test('a VM that was told to start runs by our word; one that refused runs by somebody else’s', async () => {
  for (const refused of [false, true]) {
    const { watch, tell } = watched();
    const start = async () => {
      if (refused) throw new Error('its disk is locked');
      tell('RESUME');
    };
    await watch.during(start, () => true).catch(() => undefined);
    assert.equal(watch.touched, null);
    tell('RESUME');
    assert.equal(watch.touched === null, !refused);
  }
});

test('a start of which no answer came may run the VM at any later time', async () => {
  const { watch, tell } = watched();
  const lost = watch.during(
    () => Promise.reject(new Error('no answer')),
    () => false,
  );
  await assert.rejects(lost);
  tell('RESUME');
  assert.equal(watch.touched, null);
});
