export type { SessionStats } from './connected-lane.ts';
export { throwRefusal } from './connection.ts';

export { FrameDecoder } from './frame.ts';
export {
  type Capabilities,
  type LinkRole,
  MIGRATION_ID_BYTES,
} from './hello.ts';
export {
  LANES_MAX,
  laneOfPage,
  OPAQUE_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
} from './limits.ts';
export { Link, type LinkEvent, type LinkOptions } from './link.ts';
export type { Message } from './message.ts';
export type { Dial, Transport, TransportHandlers } from './transport.ts';
export { memoryPair } from './transports/memory.ts';
export { relay } from './transports/relay.ts';
export {
  withBandwidth,
  withBreakAfter,
  withFlip,
  withLatency,
  withStall,
} from './transports/shaped.ts';
export { type StreamTransport, streamTransport } from './transports/stream.ts';
export { type Listener, type SocketAddress, type StreamDial, tcpDial, tcpListen } from './transports/tcp.ts';
export { SocketThread } from './transports/threaded.ts';
export {
  PSK_BYTES,
  PSK_IDENTITY,
  secureWithKey,
  type TlsCredentials,
  tlsDial,
  tlsListen,
} from './transports/tls.ts';
export { WorkerPool } from './workers/pool.ts';
