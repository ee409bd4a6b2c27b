export { farProcessIdentity, isFarProcessAlive } from './far-process.ts';
export { FarSide, type FarSideOptions, parseDataAddress } from './far-side.ts';
export type { Forward } from './forward.ts';
export { KeyFile } from './key-file.ts';
export { joinSocket, LineStream, NoLine } from './line-stream.ts';
export { linkTerms } from './link-terms.ts';
export { type ListenerReach, listenerName, sayEnded } from './listener.ts';
export {
  LineCutter,
  parseLine,
  type ReceiveEvent,
  type ReceiveHello,
  type ReceiveOpening,
  type ReceiveRequest,
  receiveHello,
  receiveOpening,
  receiveRequest,
} from './messages.ts';
export { forwardSocket, NEAR, type ReachSpec, resolvedHost, shellQuote } from './reach.ts';
export { type QemuToStart, StartedQemu, startedBroken } from './start-qemu.ts';
export { loadTls, type TlsFiles } from './tls.ts';
