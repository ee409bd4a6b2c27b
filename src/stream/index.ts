export { StreamDecoder } from './decoder.ts';
export { type EncoderOptions, encodePing, PING_BYTES, SECTION_BYTES_MAX, StreamEncoder } from './encoder.ts';
export type { StreamErrorCode } from './errors.ts';
export {
  encodePong,
  encodeResumeAck,
  encodeShut,
  encodeSwitchoverAck,
  ReturnPathDecoder,
  type ReturnPathMessage,
  type ReturnPathSink,
} from './return-path.ts';
export {
  type Configuration,
  type DecoderFacts,
  type DecoderOptions,
  type DecoderPhase,
  type DeviceSection,
  type PassThrough,
  type PassThroughReason,
  type RamSectionKind,
  type RamSetup,
  type SectionHeader,
  STREAM_LIMITS,
  type StreamEnd,
  type StreamLimits,
  type StreamSink,
  type Tail,
} from './types.ts';
export { COMMAND, RAM_RECORD_BYTES_MAX } from './wire.ts';
