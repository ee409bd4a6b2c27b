import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { encodeFrame, FRAME_BYTES_MAX, type Frame, FrameReader } from './frame.ts';

const anyFrame: fc.Arbitrary<Frame> = fc.record(
  {
    program: fc.constantFrom(0x2000_8086, 0x6b65_6570, 7),
    version: fc.nat(),
    procedure: fc.nat(),
    type: fc.constantFrom('call', 'reply', 'message', 'stream', 'call-with-fds', 'reply-with-fds'),
    serial: fc.nat(),
    status: fc.constantFrom('ok', 'error', 'continue'),
    payload: fc.uint8Array({ maxLength: 100 }),
  },
  { noNullPrototype: true },
);

describe('libvirt frames', () => {
  it('come out of any chunking as they went in', () => {
    fc.assert(
      fc.property(
        fc.array(anyFrame, { maxLength: 6 }),
        fc.integer({ min: 1, max: 50 }),
        (frames, sizeBytes) => {
          const bytes = Buffer.concat(frames.map(encodeFrame));
          const reader = new FrameReader();
          const read: Frame[] = [];
          for (let at = 0; at < bytes.length; at += sizeBytes) {
            read.push(...reader.push(bytes.subarray(at, at + sizeBytes)));
          }
          assert.deepEqual(read, frames);
          assert.equal(reader.midFrame, false);
        },
      ),
    );
  });

  it('are what libvirt writes: a recorded call of virsh', () => {
    // ConnectSupportsFeature(10), the second call of virsh 11.3.
    const words = '00000020 20008086 00000001 0000003c 00000000 00000001 00000000 0000000a';
    const recorded = Buffer.from(words.replaceAll(' ', ''), 'hex');
    const [frame] = [...new FrameReader().push(recorded)];
    assert.deepEqual(frame, {
      program: 0x2000_8086,
      version: 1,
      procedure: 60,
      type: 'call',
      serial: 1,
      status: 'ok',
      payload: Uint8Array.of(0, 0, 0, 10),
    });
    assert.deepEqual(encodeFrame(frame!), recorded);
  });

  it('are refused with a length that no frame has, before its bytes are there', () => {
    for (const length of [0, 27, FRAME_BYTES_MAX + 1, 0xffff_ffff]) {
      const bytes = Buffer.alloc(4);
      bytes.writeUInt32BE(length);
      assert.throws(() => [...new FrameReader().push(bytes)], { code: 'LIBVIRT_PROTOCOL' });
    }
  });

  it('are refused with an unknown type or status', () => {
    const frame = encodeFrame({
      program: 1,
      version: 1,
      procedure: 1,
      type: 'call',
      serial: 1,
      status: 'ok',
      payload: new Uint8Array(),
    });
    for (const at of [19, 27]) {
      const damaged = Buffer.from(frame);
      damaged[at] = 9;
      assert.throws(() => [...new FrameReader().push(damaged)], { code: 'LIBVIRT_PROTOCOL' });
    }
  });
});
