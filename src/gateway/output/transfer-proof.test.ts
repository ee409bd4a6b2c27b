import assert from 'node:assert/strict';
import test from 'node:test';
import { TransferProof } from './transfer-proof.ts';

test('the far side must have the same pages with the same sum, in whatever order batches came', () => {
  const [near, far] = [new TransferProof(), new TransferProof()];
  near.count(10, 0xffff_fff0);
  near.count(5, 0x20);
  far.count(5, 0x20);
  far.count(10, 0xffff_fff0);
  assert.equal(near.pageTotal, 15);
  assert.equal(near.checksum, '0000000000000010');
  const answer = { pageCount: far.pageTotal, checksum: far.checksum };
  assert.ok(near.isMetBy(answer));
  assert.ok(!near.isMetBy({ ...answer, pageCount: 14 }));
  assert.ok(!near.isMetBy({ ...answer, checksum: '0000000000000011' }));
});
