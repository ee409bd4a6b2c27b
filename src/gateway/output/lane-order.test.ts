import assert from 'node:assert/strict';
import test from 'node:test';
import { laneOfPage } from '../../link/index.ts';
import { LaneOrder } from './lane-order.ts';

test('each page goes to its lane, in the order given', () => {
  const pages = Uint32Array.from([700, 1, 300, 2, 299]);
  const lanes = new Map<number, number[]>();
  new LaneOrder(2, 16).split(pages, pages.length, (lane, ofLane) => lanes.set(lane, [...ofLane]));
  for (const [lane, ofLane] of lanes) {
    assert.deepEqual(
      ofLane,
      [...pages].filter((page) => laneOfPage(page, 2) === lane),
    );
  }
  assert.equal([...lanes.values()].flat().length, pages.length);
});

test('a batch that is encoded early waits for the one before it, on its lane only', async () => {
  const order = new LaneOrder(2, 16);
  const slow = Promise.withResolvers<string>();
  const done: string[] = [];
  const failed = (error: Error) => assert.fail(error);
  order.inOrder(0, slow.promise, (batch) => void done.push(batch), failed);
  order.inOrder(0, 'second', (batch) => void done.push(batch), failed);
  order.inOrder(1, 'other lane', (batch) => void done.push(batch), failed);
  await new Promise(setImmediate);
  assert.deepEqual(done, ['other lane']);
  slow.resolve('first');
  await order.allHandedOn();
  assert.deepEqual(done, ['other lane', 'first', 'second']);
});

test('a batch that cannot be encoded is told', async () => {
  const order = new LaneOrder(1, 16);
  const errors: Error[] = [];
  const told = (error: Error) => void errors.push(error);
  order.inOrder(0, Promise.reject(new Error('no zstd')), () => assert.fail('nothing to hand on'), told);
  await order.allHandedOn();
  assert.deepEqual(
    errors.map(({ message }) => message),
    ['no zstd'],
  );
});
