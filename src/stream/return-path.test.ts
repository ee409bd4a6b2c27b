import assert from 'node:assert/strict';
import test from 'node:test';
import {
  encodePong,
  encodeResumeAck,
  encodeShut,
  encodeSwitchoverAck,
  ReturnPathDecoder,
  type ReturnPathMessage,
} from './return-path.ts';

function decode(chunks: readonly Uint8Array[]) {
  const messages: ReturnPathMessage[] = [];
  const raws: string[] = [];
  let bitmap = 0;
  const decoder = new ReturnPathDecoder({
    onMessage: (message, raw) => {
      messages.push(message);
      raws.push(Buffer.from(raw).toString('hex'));
    },
    onBitmapBytes: (bytes) => {
      bitmap += bytes.length;
    },
  });
  for (const chunk of chunks) decoder.write(chunk);
  return { messages, raws, bitmap, decoder };
}

const bytesOf = (hex: string) => Buffer.from(hex.replaceAll(' ', ''), 'hex');

test('return path: every message of section 10, whole and byte by byte', () => {
  const bytes = Buffer.concat([
    encodeShut(1),
    encodePong(0xdeadbeef),
    bytesOf('0003 0013 0000000000003000 00001000 06'),
    Buffer.from('pc.ram'),
    bytesOf('0004 000c 0000000100000000 00002000'),
    encodeResumeAck(1),
    encodeSwitchoverAck(),
  ]);
  const expected: ReturnPathMessage[] = [
    { kind: 'shut', status: 1 },
    { kind: 'pong', nonce: 0xdeadbeef },
    { kind: 'request-pages', block: 'pc.ram', offset: 0x3000, sizeBytes: 0x1000 },
    { kind: 'request-pages', block: null, offset: 0x1_0000_0000, sizeBytes: 0x2000 },
    { kind: 'resume-ack', value: 1 },
    { kind: 'switchover-ack' },
  ];
  const whole = decode([bytes]);
  assert.deepEqual(whole.messages, expected);
  assert.equal(whole.raws.join(''), bytes.toString('hex'));
  assert.deepEqual(decode([...bytes].map((byte) => Uint8Array.of(byte))).messages, expected);
});

test('return path: the bitmap behind RECV_BITMAP is passed on, and the next message is found behind it', () => {
  const size = bytesOf('0000000000000010');
  const bytes = Buffer.concat([
    bytesOf('0005 0003 02 6162'),
    size,
    Buffer.alloc(16, 0xff),
    bytesOf('0123456789abcdef'),
    encodeSwitchoverAck(),
  ]);
  for (const chunks of [[bytes], [...bytes].map((byte) => Uint8Array.of(byte))]) {
    const { messages, bitmap, decoder } = decode(chunks);
    assert.deepEqual(messages, [{ kind: 'received-bitmap', block: 'ab' }, { kind: 'switchover-ack' }]);
    assert.equal(bitmap, 8 + 16 + 8);
    assert.ok(decoder.isBetweenMessages);
  }
  assert.ok(!decode([bytes.subarray(0, 30)]).decoder.isBetweenMessages);
});

for (const [what, hex, code] of [
  ['type 0', '0000 0000', 'RETURN_PATH_TYPE'],
  ['an unknown type', '0008 0000', 'RETURN_PATH_TYPE'],
  ['SHUT of 5 bytes', '0001 0005', 'RETURN_PATH_LENGTH'],
  ['an ACK with payload', '0007 0001', 'RETURN_PATH_LENGTH'],
  ['more than QEMU takes', '0003 0201', 'RETURN_PATH_LENGTH'],
  ['a name longer than the message', '0005 0003 05 6162', 'RETURN_PATH_LENGTH'],
  ['a name shorter than the message', '0005 0003 01 6162', 'RETURN_PATH_LENGTH'],
  ['no room for a name', '0005 0000', 'RETURN_PATH_LENGTH'],
  ['a bitmap without end', '0005 0002 01 61 ffffffffffffffff', 'RETURN_PATH_LENGTH'],
] as const) {
  test(`return path: ${what} is refused`, () => {
    assert.throws(() => decode([bytesOf(hex)]), { code });
  });
}
