export type { SessionStats } from './connected-lane.ts';
export { throwRefusal } from './connection.ts';
export type { LinkErrorCode } from './errors.ts';
export { FRAME_HEADER_BYTES, FrameDecoder } from './frame.ts';
export {
  type Capabilities,
  type LinkRole,
  MIGRATION_ID_BYTES,
  type ProtocolVersion,
} from './hello.ts';
export {
  CONTROL_BYTES_MAX,
  DEFAULT_LIMITS,
  LANES_MAX,
  type LinkLimits,
  laneOfPage,
  OPAQUE_BYTES_MAX,
  PAYLOAD_BYTES_MAX,
  PROTOCOL_MAJOR,
  PROTOCOL_MINOR,
} from './limits.ts';
export { Link, type LinkEvent, type LinkOptions } from './link.ts';
export type { Message, MessageKind } from './message.ts';
export type { Dial, Transport, TransportHandlers } from './transport.ts';
export { memoryPair } from './transports/memory.ts';
export { type RelayedBytes, relay } from './transports/relay.ts';
export {
  type Stall,
  withBandwidth,
  withBreakAfter,
  withFlip,
  withLatency,
  withStall,
} from './transports/shaped.ts';
export { type StreamTransport, streamTransport } from './transports/stream.ts';
export { type Listener, type SocketAddress, type StreamDial, tcpDial, tcpListen } from './transports/tcp.ts';
export { SocketThread } from './transports/threaded.ts';
export { PSK_BYTES, type TlsCredentials, tlsDial, tlsListen } from './transports/tls.ts';
export { WorkerPool, type WorkerPoolOptions } from './workers/pool.ts';
export type { Endpoint } from './workers/socket-messages.ts';
