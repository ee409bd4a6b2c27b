/** The two ends that a journal names, as machines. */

import { type Endpoint, isDomain } from './endpoint.ts';
import { foundLibvirtEnds } from './libvirt-ends.ts';
import { QmpMachine } from './qmp-machine.ts';
import type { Machine } from './types.ts';

export interface FoundMove {
  readonly source: Endpoint;
  readonly destination: Endpoint;
  /** What the journal says: libvirt's own state does not tell these apart. */
  readonly prepared: boolean;
  readonly mayHaveCommitted: boolean;
}

export function openEnds(found: FoundMove): { source: Machine; destination: Machine } {
  const { source, destination } = found;
  if (isDomain(source) && isDomain(destination)) {
    return foundLibvirtEnds({ ...found, source, destination });
  }
  if (isDomain(source) || isDomain(destination)) throw new Error("one end is libvirt's, the other is not");
  return { source: new QmpMachine(source), destination: new QmpMachine(destination) };
}
