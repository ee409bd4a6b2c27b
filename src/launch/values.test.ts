import assert from 'node:assert/strict';
import test from 'node:test';
import { parseValue } from './values.ts';

test('a value that nobody changes is written as it was read', () => {
  for (const text of [
    'pc,accel=kvm,nvdimm=on',
    'unix:/run/a.qmp,server,nowait',
    'file=/vms/a,,b.img,if=none,id=d0',
    'id=d0,if=none',
    '{"driver":"file","filename":"/a,b","read-only":true,"deep":{"list":[1,"two",null]}}',
    '{no json',
    '',
  ]) {
    assert.equal(parseValue(text, 'first').text, text);
  }
});

test('the first word is that of the implied key, and doubled commas are one', () => {
  const value = parseValue('/vms/a,,b.img,if=none', 'file');
  assert.deepEqual([value.get('file'), value.get('if'), value.get('id')], ['/vms/a,b.img', 'none', null]);
  assert.equal(value.set('file', '/x,y').text, '/x,,y,if=none');
});

test('words that stand alone are switches, and are set in their place', () => {
  const value = parseValue('/run/a.qmp,server,nowait', 'path');
  assert.deepEqual([value.get('server'), value.get('wait')], ['on', 'off']);
  assert.equal(value.set('wait', 'off').text, '/run/a.qmp,server,wait=off');
  assert.equal(value.set('server', 'on').remove('server').text, '/run/a.qmp,nowait');
});

test('the last of two counts, and both are gone once it is set', () => {
  const value = parseValue('x,id=1,id=2', 'driver');
  assert.equal(value.get('id'), '2');
  assert.equal(value.set('id', '3').text, 'x,id=3');
});

test('JSON: members of members, switches, and every text inside', () => {
  const value = parseValue('{"driver":"qcow2","ro":false,"file":{"filename":"/a"}}', 'driver');
  assert.deepEqual([value.get('file.filename'), value.get('ro'), value.get('file')], ['/a', 'off', null]);
  assert.equal(
    value.set('file.filename', '/b').set('ro', 'on').text,
    '{"driver":"qcow2","ro":true,"file":{"filename":"/b"}}',
  );
  assert.equal(
    value.map((text) => text.toUpperCase()).text,
    '{"driver":"QCOW2","ro":false,"file":{"filename":"/A"}}',
  );
});
