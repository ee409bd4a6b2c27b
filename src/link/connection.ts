/**
 * One connection of a lane: its states, and the frames that live and die with it
 * (docs/format/link.md, 3 and 4). Pure. Not responsible for what outlives a connection: lane.ts.
 */

import { GodwitError } from '../base/index.ts';
import { encodeFrameHeader, FRAME, type Frame, type FrameDecoder } from './frame.ts';
import { decodeRefusal, encodeRefusal } from './hello.ts';

export type Connection =
  | { readonly state: 'down' }
  | {
      readonly state: 'greeting';
      readonly sinceMs: number;
      readonly epoch: number;
      readonly decoder: FrameDecoder;
    }
  | Open
  | { readonly state: 'finished' };

export interface Open {
  readonly state: 'open';
  readonly epoch: number;
  readonly decoder: FrameDecoder;
  /** Connection frames that wait to be written; they overtake lane frames. */
  readonly control: Uint8Array[];
  lastHeardMs: number;
  pingAtMs: number;
  pingToken: number | null;
  goodbyeSent: boolean;
  goodbyeReceived: boolean;
}

export function openConnection(epoch: number, decoder: FrameDecoder, nowMs: number): Open {
  return {
    state: 'open',
    epoch,
    decoder,
    control: [],
    lastHeardMs: nowMs,
    pingAtMs: nowMs,
    pingToken: null,
    goodbyeSent: false,
    goodbyeReceived: false,
  };
}

export function controlFrame(type: number, payload: Uint8Array): Uint8Array {
  return Buffer.concat([encodeFrameHeader({ type, payload }), payload]);
}

/** The ERROR frame for `error`, to be written before the connection is closed. */
export function errorFrame(code: string, text: string): Uint8Array {
  return controlFrame(FRAME.ERROR, encodeRefusal({ code, text }));
}

export function throwRefusal(frame: Frame): never {
  const { code, text } = decodeRefusal(frame.payload);
  throw new GodwitError(code, text, { fields: { fromPeer: true } });
}
