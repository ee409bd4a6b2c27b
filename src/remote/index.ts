export { farProcessIdentity, isFarProcessAlive } from './far-process.ts';
export { FarSide, parseDataAddress } from './far-side.ts';
export type { Forward } from './forward.ts';
export { LINK_SILENCE_MS_MAX } from './limits.ts';
export { joinSocket, LineStream, NoLine } from './line-stream.ts';
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
export { forwardSocket, type ReachSpec } from './reach.ts';
export { makeSocketFolder, removeSocketFolder, sweepSocketFolders } from './socket-folder.ts';
export { loadTls, type TlsFiles } from './tls.ts';
