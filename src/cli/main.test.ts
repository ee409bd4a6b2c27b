import assert from 'node:assert/strict';
import { EventEmitter } from 'node:events';
import test from 'node:test';
import { GodwitError, VirtualClock } from '../base/index.ts';
import type { CommandDefinition, CommandEntry } from './command.ts';
import { COMMANDS } from './commands.ts';
import { EXIT } from './exit.ts';
import { listenForInterrupts } from './interrupts.ts';
import { main } from './main.ts';

function sink() {
  let text = '';
  return { write: (more: string) => (text += more), text: () => text };
}

function entry(name: string, definition: Partial<CommandDefinition>, loaded: string[] = []): CommandEntry {
  return {
    name,
    summary: `the ${name} command`,
    load: async () => {
      loaded.push(name);
      return { configure: () => {}, run: async () => EXIT.ok, ...definition };
    },
  };
}

async function run(args: string[], commands: CommandEntry[]) {
  const [out, err] = [sink(), sink()];
  const code = await main(args, { out, err, commands });
  return { code, out: out.text(), err: err.text() };
}

test('help lists every command and loads none', async () => {
  const loaded: string[] = [];
  const { code, out } = await run(['--help'], [entry('demo', {}, loaded), entry('inspect', {}, loaded)]);
  assert.equal(code, 0);
  assert.match(out, /demo .*the demo command/);
  assert.match(out, /inspect .*the inspect command/);
  assert.deepEqual(loaded, []);
  assert.equal((await run([], [entry('demo', {}, loaded)])).code, 0);
});

test('a command gets its arguments and options, and its exit code is ours; only it is loaded', async () => {
  const loaded: string[] = [];
  let seen: unknown;
  const migrate = entry(
    'migrate',
    {
      configure: (command) =>
        void command.argument('<source>').argument('[destination]').option('--strategy <name>', '', 'mp'),
      run: async (_context, args, options) => {
        seen = { args, options };
        return EXIT.inDoubt;
      },
    },
    loaded,
  );
  const { code } = await run(['migrate', 'qmp:a', '--strategy', 'frs'], [entry('demo', {}, loaded), migrate]);
  assert.equal(code, EXIT.inDoubt);
  assert.deepEqual(seen, { args: ['qmp:a'], options: { strategy: 'frs' } });
  assert.deepEqual(loaded, ['migrate']);
  const help = await run(['help', 'migrate'], [migrate]);
  assert.match(help.out, /--strategy <name>/);
});

test('a wrong command line is exit code 2 and says what is wrong', async () => {
  const needy = entry('inspect', { configure: (command) => void command.argument('<file>') });
  for (const args of [['inspect'], ['inspect', 'a', 'b'], ['inspect', 'a', '--no-such'], ['nonsense']]) {
    const { code, err } = await run(args, [needy]);
    assert.equal(code, EXIT.usage, args.join(' '));
    assert.match(err, /^error \[USAGE_COMMAND_LINE\] .*\n {2}safe .*\n {2}to do/);
  }
  const asJson = JSON.parse((await run(['inspect', '--json', 'a', 'b'], [needy])).out);
  assert.equal(asJson.error.code, 'USAGE_COMMAND_LINE');
});

test('what a command throws is rendered, as JSON where asked', async () => {
  const failing = entry('demo', {
    configure: (command) => void command.option('--json'),
    run: async () => {
      throw new GodwitError('LINK_LOST', 'the link is gone', { safe: 'the source VM is running' });
    },
  });
  const plain = await run(['demo'], [failing]);
  assert.equal(plain.code, EXIT.failed);
  assert.match(plain.err, /LINK_LOST.*the link is gone\n {2}safe/);
  assert.equal(JSON.parse((await run(['demo', '--json'], [failing])).out).error.code, 'LINK_LOST');
});

test('every registered command loads, describes itself and has help', async () => {
  for (const { name } of COMMANDS) {
    const { code, out } = await run([name, '--help'], [...COMMANDS]);
    assert.equal(code, 0, name);
    assert.match(out, new RegExp(`godwit ${name}`));
  }
});

test('interrupts: the first asks, the same press counts once, the second insists', () => {
  const [source, clock] = [new EventEmitter(), new VirtualClock()];
  const interrupts = listenForInterrupts(source, clock);
  source.emit('SIGINT', 'SIGINT');
  assert.equal(interrupts.interrupted.aborted, true);
  clock.advanceMs(20);
  source.emit('SIGINT', 'SIGINT'); // npm passes on what the terminal sent already
  assert.equal(interrupts.forced.aborted, false);
  clock.advanceMs(1000);
  source.emit('SIGTERM', 'SIGTERM');
  assert.equal(interrupts.forced.aborted, true);
  assert.equal(interrupts.first(), 'SIGINT');
  interrupts.close();
  assert.equal(source.listenerCount('SIGINT'), 0);
});

test('a command that does not handle interrupts ends with the signal\u2019s code', async () => {
  const endless = entry('simulate', {
    run: () => {
      setImmediate(() => process.emit('SIGTERM', 'SIGTERM'));
      return new Promise(() => {});
    },
  });
  assert.equal((await run(['simulate'], [endless])).code, EXIT.terminated);
});
