/** Every target there is: all that comes from outside, each format by itself. */

import type { FuzzTarget } from '../target.ts';
import { batch } from './codec.ts';
import { commandLine, words } from './command-line.ts';
import { controlReplies, controlRequests } from './control.ts';
import { journal, journalFold } from './journal.ts';
import { libvirtClient, libvirtFrames, libvirtPayloads } from './libvirt.ts';
import { farLines } from './lines.ts';
import { linkFrames, linkGreeting, linkMessages, linkSession } from './link.ts';
import { needle } from './needle.ts';
import { plan, sweepRanges } from './plan.ts';
import { qmpClient, qmpGreeting, qmpLines } from './qmp.ts';
import { monitorText, qmpReplies } from './qmp-replies.ts';
import { inspect, legalStream, returnPath, stream } from './stream.ts';
import { trace } from './trace.ts';

export const TARGETS: readonly FuzzTarget[] = [
  stream,
  legalStream,
  inspect,
  returnPath,
  qmpGreeting,
  qmpLines,
  qmpClient,
  qmpReplies,
  monitorText,
  libvirtFrames,
  libvirtPayloads,
  libvirtClient,
  linkFrames,
  linkMessages,
  linkGreeting,
  linkSession,
  batch,
  journal,
  journalFold,
  controlRequests,
  controlReplies,
  farLines,
  plan,
  sweepRanges,
  trace,
  commandLine,
  words,
];

/** With those that are there to be found, for the tests of the fuzzer itself. */
export function targetByName(name: string): FuzzTarget {
  const target = [...TARGETS, ...needle].find((one) => one.name === name);
  if (target === undefined) {
    throw new Error(`no target "${name}"; there are ${TARGETS.map((one) => one.name).join(', ')}`);
  }
  return target;
}
