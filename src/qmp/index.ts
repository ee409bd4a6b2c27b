export { type Claim, claimedError, claimQemu, readClaim, releaseClaim } from './claim.ts';
export {
  COMMAND_TIMEOUT_MS,
  type ExecuteOptions,
  QmpClient,
  type QmpExecutor,
} from './client.ts';
export * from './commands-migration.ts';
export * from './commands-vm.ts';
export { compareMachines, refusals } from './compare.ts';
export { connectQmp } from './connect.ts';
export { isRefusal } from './errors.ts';
export type { QmpEvent } from './events.ts';
export type { Finding, FindingCode } from './findings.ts';
export { ParameterGuard, type PreviousSettings, restoreSettings } from './guard.ts';
export { hostProcess, processOfThread, sharesFiles } from './host.ts';
export { refuseLibvirtSocket } from './libvirt.ts';
export type { JsonObject } from './lines.ts';
export { connectUnix } from './long-path.ts';
export {
  gatherMachine,
  type MachineDescription,
} from './machine.ts';
export { gatherPresent } from './present.ts';
export { sweepPrivateFolders } from './private-folder.ts';
export { probeQemu, type QemuFeatures } from './probe.ts';
export { isAlive, processIdentity, processNamespace, qemuIdentity } from './process-identity.ts';
export { queryQmpSchema } from './schema.ts';
export { SocketFolder } from './socket-folder.ts';
export { findSocketPlace, type NoSocketPlace, type SocketPlace } from './socket-place.ts';
