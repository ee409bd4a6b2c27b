export { type Claim, claimedError, claimQemu, readClaim, releaseClaim } from './claim.ts';
export {
  COMMAND_TIMEOUT_MS,
  COMMANDS_WAITING_MAX,
  type ExecuteOptions,
  IN_BAND_COMMANDS_MAX,
  QmpClient,
  type QmpExecutor,
  type QmpGreeting,
} from './client.ts';
export * from './commands-migration.ts';
export * from './commands-vm.ts';
export { type CompareOptions, compareMachines, refusals } from './compare.ts';
export { CONNECT_TIMEOUT_MS, type ConnectOptions, connectQmp } from './connect.ts';
export { isRefusal, isUnknownCommand, QMP_ERROR_CODES, type QmpErrorCode } from './errors.ts';
export {
  EVENT_BYTES_KEPT_MAX,
  EVENTS_KEPT_MAX,
  type EventMatch,
  type QmpEvent,
  type WaitEventOptions,
} from './events.ts';
export {
  type FakeAnswer,
  type FakeHandler,
  type FakeOptions,
  FakeQmpServer,
  type FakeRequest,
  fakeError,
  fakeLater,
  fakeReturn,
  fakeSilence,
} from './fake.ts';
export type { Finding, FindingCode, Severity } from './findings.ts';
export { type GuardOptions, ParameterGuard, type PreviousSettings, restoreSettings } from './guard.ts';
export { type HostProcess, hostProcess } from './host.ts';
export { isLibvirtPath, refuseLibvirtSocket } from './libvirt.ts';
export { JSON_DEPTH_MAX, type JsonObject, LINE_BYTES_MAX } from './lines.ts';
export {
  type CpuFacts,
  type DiskFacts,
  type GatherOptions,
  gatherMachine,
  type MachineDescription,
} from './machine.ts';
export type { RamBlockFacts } from './monitor-text.ts';
export { type PciFunction, queryPci } from './pci.ts';
export { type AckEvidence, type AckOwed, judgeAck, probeQemu, type QemuFeatures } from './probe.ts';
export { isAlive, processIdentity, processNamespace, qemuIdentity } from './process-identity.ts';
export { type QmpSchema, queryQmpSchema } from './schema.ts';
