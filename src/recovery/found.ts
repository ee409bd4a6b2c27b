/** What libvirt says of both ends of a move that is over, and what is left to the operator where in doubt. */

import type { Outcome } from '../handover/index.ts';
import { type Endpoint, isDomain, type Machine } from '../machines/index.ts';

const STATUS_MS = 3_000;

export interface FoundEnds {
  readonly source: Endpoint;
  readonly destination: Endpoint;
}

/** Of QEMUs without a libvirt the outcome says it all. Never rejects. */
export async function withFound(
  outcome: Outcome,
  ends: FoundEnds,
  machines: { readonly source: Machine; readonly destination: Machine },
): Promise<Outcome> {
  if (!isDomain(ends.source)) return outcome;
  const [here, there] = await Promise.all([wordsOf(machines.source), wordsOf(machines.destination)]);
  const found = `libvirt says: at the source ${here}, at the destination ${there}`;
  const advice =
    outcome.outcome === 'in-doubt'
      ? `. Look again with "virsh domstate --reason ${ends.source.domain.name}" on both hosts; "virsh resume" continues a paused copy, "virsh destroy" ends one: end one before the other goes on`
      : '';
  return { ...outcome, text: `${outcome.text} (${found})${advice}` };
}

async function wordsOf(machine: Machine): Promise<string> {
  const status = await machine.status(STATUS_MS);
  if (status.state === 'answers') return status.words ?? status.runState;
  return status.state === 'gone' ? 'it does not run' : `no answer (${status.why})`;
}
