export { StreamDecoder } from './decoder.ts';
export { encodePing, SECTION_BYTES_MAX, StreamEncoder } from './encoder.ts';
export { PackageWalk } from './package-walk.ts';
export {
  encodePong,
  encodeShut,
  encodeSwitchoverAck,
  PACKAGE_LOADED,
  ReturnPathDecoder,
  type ReturnPathMessage,
} from './return-path.ts';
export type {
  Configuration,
  DeviceSection,
  PassThrough,
  RamSectionKind,
  RamSetup,
  SectionHeader,
  StreamEnd,
  StreamSink,
  Tail,
} from './types.ts';
export { COMMAND, RAM_RECORD_BYTES_MAX } from './wire.ts';
