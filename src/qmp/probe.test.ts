import assert from 'node:assert/strict';
import test from 'node:test';
import { capabilitiesOf, judgeAck } from './probe.ts';
import { QmpSchema } from './schema.ts';

test('the schema answers by names, whatever its type numbers are', () => {
  const schema = new QmpSchema([
    { name: 'migrate-set-capabilities', 'meta-type': 'command', 'arg-type': '7', 'ret-type': '0' },
    { name: '7', 'meta-type': 'object', members: [{ name: 'capabilities', type: '[8]' }] },
    { name: '[8]', 'meta-type': 'array', 'element-type': '8' },
    {
      name: '8',
      'meta-type': 'object',
      members: [
        { name: 'capability', type: '9' },
        { name: 'state', type: 'bool' },
      ],
    },
    // Named like the enumeration: the kinds must not be mixed up.
    { name: '9', 'meta-type': 'event', 'arg-type': '0' },
    {
      name: '9',
      'meta-type': 'enum',
      values: ['events'],
      members: [{ name: 'events' }, { name: 'mapped-ram' }],
    },
    { name: 'migrate-pause', 'meta-type': 'command', 'arg-type': '0', 'allow-oob': true },
    { name: 'query-migrate', 'meta-type': 'command', 'ret-type': '12' },
    {
      name: '12',
      'meta-type': 'object',
      members: [
        { name: 'status', type: '13' },
        { name: 'blocked-reasons', type: '[str]' },
      ],
    },
  ]);
  assert.deepEqual([...capabilitiesOf(schema)], ['events', 'mapped-ram']);
  assert.deepEqual([...schema.oobCommands], ['migrate-pause']);
  assert.ok(schema.replyNames('query-migrate').has('blocked-reasons'));
  assert.equal(schema.argumentNames('migrate-set-parameters').size, 0);
  assert.ok(schema.commands.has('query-migrate') && !schema.commands.has('quit'));
  assert.equal(
    new QmpSchema([]).wordsOfListArgument('migrate-set-capabilities', 'capabilities', 'capability').size,
    0,
  );
});

test('the ack is owed by machine type, unless the command line says otherwise', () => {
  const properties = ['switchover-ack-legacy'];
  const judge = (machineType: string, argv: string[] | null, known = properties) =>
    judgeAck({ properties: known, machineType, argv })[0];
  assert.equal(judge('pc-i440fx-10.0-machine', null, []), 'yes');
  assert.equal(judge('pc-q35-11.0-machine', []), 'yes');
  assert.equal(judge('pc-q35-11.1-machine', []), 'no');
  assert.equal(judge('pc-q35-12.0', []), 'no');
  assert.equal(judge('microvm-machine', []), 'unknown');
  assert.equal(judge('pc-q35-11.1-machine', null), 'unknown');
  assert.equal(judge('pc-q35-11.1', ['q', '-global', 'migration.switchover-ack-legacy=on']), 'yes');
  assert.equal(judge('pc-q35-11.0', ['q', '-global', 'migration.switchover-ack-legacy=off']), 'no');
});
