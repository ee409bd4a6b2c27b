/**
 * The machine's table as docs/format/handover.md shows it: every state that can be reached, every loss in it,
 * and what follows. It is made by asking the machine itself, so it cannot say anything else. Not responsible
 * for the words around it.
 */

import type { RecordedStep } from '../../src/handover/index.ts';
import { foldJournal, type JournalEntry, knownOf } from '../../src/recovery/entries.ts';
import { answersTo, DESTINATIONS, endedFact, FACT, lookFact, SOURCES } from './facts.ts';
import { Machines, RAN } from './machines.ts';

type Role = 'controller' | 'ender';
type Line = RecordedStep | 'torn';

/** A machine's state, and which lines its journal has by then. */
interface Reached {
  readonly role: Role;
  readonly number: number;
  readonly lines: readonly Line[];
}

const NAMES: Readonly<Record<Role, string>> = {
  controller: 'controller',
  ender: 'guardian, `godwit resolve`',
};

/** Every state of the way forward, then those of the way back, as a migration comes through them. */
const PHASES = [
  ...['hurrying', 'recording-stop', 'stopping', 'draining', 'proving', 'releasing', 'recording-prepared'],
  ...['looking', 'recording-commit', 'settling', 'starting', 'confirming', 'recording-running'],
  ...['ending-source', 'stopping-again', 'halting', 'asking', 'taking-back', 'checking-untouched'],
  ...['ending-destination', 'cancelling', 'restoring', 'asking-source', 'recording-continue'],
  ...['continuing', 'confirming-source'],
];

export class Table {
  readonly #machines = new Machines();
  readonly #reached = new Map<string, Reached>();
  readonly #enders = new Map<string, number>();

  constructor() {
    const waiting: Reached[] = [];
    const add = (one: Reached) => {
      const key = `${one.role} ${one.number} ${one.lines.join(' ')}`;
      if (this.#reached.has(key)) return;
      this.#reached.set(key, one);
      waiting.push(one);
    };
    for (const sourceAfter of ['keep', 'quit'] as const)
      add({ role: 'controller', number: this.#machines.controller({ ...RAN, sourceAfter }), lines: [] });
    for (let one = waiting.pop(); one !== undefined; one = waiting.pop()) {
      for (const lines of this.#onDisk(one)) add({ role: 'ender', number: this.#ender(lines), lines });
      const { effect } = this.#machines.nodes[one.number]!;
      for (const fact of this.#facts(one)) {
        const written = fact === FACT.done && effect.startsWith('record ');
        const lines = written ? plus(one.lines, effect.slice('record '.length) as Line) : one.lines;
        add({ ...one, number: this.#machines.step(one.number, fact), lines });
      }
    }
  }

  /** Each (state, loss) pair: what follows. */
  losses(): string[] {
    const rows = (['controller', 'ender'] as const).flatMap((role) =>
      this.#phases(role).map((phase) => this.#row(role, phase)),
    );
    return [
      '| who | state | asks for | answered | failed, late, or its answer lost | cancelled, or an end or the link is lost | whoever runs it dies: the next one begins with |',
      '|---|---|---|---|---|---|---|',
      ...rows,
    ];
  }

  /** Each (state, what a look finds) pair. */
  looks(): string[] {
    const phases = PHASES.filter((phase) => this.#in(null, phase).some(({ number }) => this.#isLook(number)));
    return phases.filter((phase) => phase !== 'halting').flatMap((phase) => this.#matrix(phase));
  }

  #row(role: Role, phase: string): string {
    const here = this.#in(role, phase);
    const after = (...facts: number[]) => this.#after(here, facts);
    const { effect } = this.#machines.nodes[here[0]!.number]!;
    const answers = answersTo(effect);
    const isLook = effect === 'look' && phase !== 'halting';
    const answered =
      phase === 'halting'
        ? this.#after(here, [FACT.done, endedFact('gone')])
        : isLook
          ? 'what it finds decides: below'
          : effect === 'end-destination'
            ? (['gone', 'silent', 'stays'] as const)
                .map((how) => `${how}: ${after(endedFact(how))}`)
                .join('; ')
            : after(FACT.done);
    const effects = [...new Set(here.map(({ number }) => this.#machines.nodes[number]!.effect))];
    const asks = phase === 'halting' ? 'what it asked for is told to stop' : effects.join(', ');
    const heeds = role === 'controller' && this.#heeds(here[0]!.number);
    const cells = [
      ...[NAMES[role], phase, asks, answered],
      after(FACT.failed) + (answers.includes(FACT.refused) ? `; refused: ${after(FACT.refused)}` : ''),
      role === 'ender' ? 'nobody tells it' : heeds ? after(FACT.lost) : 'not heeded',
      this.#next(here),
    ];
    return `| ${cells.join(' | ')} |`;
  }

  #matrix(phase: string): string[] {
    const here = this.#in(null, phase);
    const seen = (touched: boolean) =>
      SOURCES.map((source) =>
        DESTINATIONS.map((destination) => this.#after(here, [lookFact(source, destination, touched)])),
      );
    const rows = seen(false).map((cells, index) => `| ${SOURCES[index]} | ${cells.join(' | ')} |`);
    const touched = new Set(
      seen(true)
        .flat()
        .flatMap((cell) => cell.split(' / ')),
    );
    return [
      '',
      `**${phase}**`,
      '',
      `| source \\ destination | ${DESTINATIONS.join(' | ')} |`,
      `|---|${DESTINATIONS.map(() => '---|').join('')}`,
      ...rows,
      '',
      `Where another client was seen at work: ${inOrder(touched)}.`,
    ];
  }

  #phases(role: Role): string[] {
    return PHASES.filter((phase) => this.#in(role, phase).length > 0);
  }

  #in(role: Role | null, phase: string): Reached[] {
    return [...this.#reached.values()].filter(
      (one) =>
        (role === null || one.role === role) && this.#machines.nodes[one.number]!.state.phase === phase,
    );
  }

  #isLook(number: number): boolean {
    return this.#machines.nodes[number]!.effect === 'look';
  }

  #heeds(number: number): boolean {
    const { phase } = this.#machines.nodes[number]!.state;
    return phase !== 'ready' && this.#machines.step(number, FACT.lost) !== number;
  }

  #facts({ role, number }: Reached): readonly number[] {
    const { effect, state } = this.#machines.nodes[number]!;
    if (state.outcome !== null) return [];
    const answers = answersTo(effect);
    return role === 'controller' && this.#heeds(number) ? [...answers, FACT.lost] : answers;
  }

  #after(here: readonly Reached[], facts: readonly number[]): string {
    const names = here.flatMap(({ number }) =>
      facts
        .filter(
          (fact) => answersTo(this.#machines.nodes[number]!.effect).includes(fact) || fact === FACT.lost,
        )
        .map((fact) => this.#name(this.#machines.step(number, fact))),
    );
    return inOrder(new Set(names));
  }

  #name(number: number): string {
    const { told, state } = this.#machines.nodes[number]!;
    switch (told) {
      case 'none':
        return state.phase;
      case 'runs':
        return '**aborted**, the source runs';
      case 'left':
        return '**aborted**, left as it is';
      case 'in-doubt':
        return '**in doubt**';
      default:
        return `**${told}**`;
    }
  }

  /** With what a journal may say when its writer dies here, somebody else begins. */
  #next(here: readonly Reached[]): string {
    const begun = here
      .flatMap((one) => this.#onDisk(one))
      .map((lines) => this.#name(this.#machines.step(this.#ender(lines), FACT.begin)));
    return inOrder(new Set(begun));
  }

  /** A line that is being written may be there, torn, or not. */
  #onDisk({ number, lines }: Reached): (readonly Line[])[] {
    const { effect, state } = this.#machines.nodes[number]!;
    if (state.outcome !== null) return state.outcome.outcome === 'in-doubt' ? [lines] : [];
    if (!effect.startsWith('record ')) return [lines];
    return [lines, plus(lines, effect.slice('record '.length) as Line), plus(lines, 'torn')];
  }

  #ender(lines: readonly Line[]): number {
    const key = lines.join(' ');
    const found = this.#enders.get(key) ?? this.#machines.recovery(knownFrom(lines));
    this.#enders.set(key, found);
    return found;
  }
}

/** A line says no more where it stands twice. */
function plus(lines: readonly Line[], line: Line): readonly Line[] {
  return lines.includes(line) ? lines : [...lines, line];
}

function knownFrom(lines: readonly Line[]) {
  const end = { qmpPath: '/q', identity: null, claim: 'm', reach: null };
  const begin: JournalEntry = {
    ...{ step: 'begin', migrationId: 'm', startedAtMs: 0, controller: null, controllerNamespace: null },
    ...{ source: end, destination: end, sourceAfter: 'keep', guestWasRunning: true, vm: null, onEnd: null },
  };
  return knownOf(foldJournal([begin, ...lines.map((step) => ({ step }))], 'table'));
}

function inOrder(names: ReadonlySet<string>): string {
  const rank = (name: string) => (PHASES.indexOf(name) + PHASES.length + 1) % (PHASES.length + 1);
  return [...names].sort((one, other) => rank(one) - rank(other) || one.localeCompare(other)).join(' / ');
}
