/**
 * The five calls of libvirt's migration protocol 3, whose client carries cookies from one to the next, and
 * what may be changed on the way. docs/format/libvirt-rpc.md, 6, says in which order and what each one
 * undoes.
 */

import { boolean, nothing, opaque, optional, string, struct, uhyper, uint } from './codec.ts';
import { procedure } from './procedure.ts';
import { domain } from './procedures-domain.ts';
import { typedParameters } from './typed-parameters.ts';

/** REMOTE_MIGRATE_COOKIE_MAX, REMOTE_DOMAIN_MIGRATE_PARAM_LIST_MAX */
const COOKIE_BYTES_MAX = 4_194_304;
const PARAMETERS_MAX = 64;

/** VIR_MIGRATE_… */
export const MIGRATE = {
  LIVE: 1,
  PERSIST_DEST: 1 << 3,
  UNDEFINE_SOURCE: 1 << 4,
  PAUSED: 1 << 5,
  CHANGE_PROTECTION: 1 << 8,
  UNSAFE: 1 << 9,
  ABORT_ON_ERROR: 1 << 12,
} as const;

/** VIR_MIGRATE_PARAM_… */
export const PARAMETER = {
  URI: 'migrate_uri',
  DESTINATION_NAME: 'destination_name',
  DESTINATION_XML: 'destination_xml',
  PERSISTENT_XML: 'persistent_xml',
  /** MiB/s, ullong. */
  BANDWIDTH: 'bandwidth',
} as const;

const parameters = typedParameters(PARAMETERS_MAX);
const cookie = opaque(COOKIE_BYTES_MAX);
/** Asked of the source: is there anything against it, and what does the destination need? */
export const migrateBegin = procedure(
  'DomainMigrateBegin3Params',
  302,
  struct({ domain, parameters, flags: uint }),
  struct({ cookie, xml: string }),
);

/** Asked of the destination: its QEMU starts and listens. */
export const migratePrepare = procedure(
  'DomainMigratePrepare3Params',
  303,
  struct({ parameters, cookie, flags: uint }),
  struct({ cookie, uri: optional(string) }),
);

/** Asked of the source: everything is sent. The answer comes when it was, with the source's VM stopped. */
export const migratePerform = procedure(
  'DomainMigratePerform3Params',
  305,
  struct({ domain, destinationUri: optional(string), parameters, cookie, flags: uint }),
  struct({ cookie }),
);

/** Asked of the destination: start the VM, or end it (`cancelled`). */
export const migrateFinish = procedure(
  'DomainMigrateFinish3Params',
  306,
  struct({ parameters, cookie, flags: uint, cancelled: boolean }),
  struct({ domain, cookie }),
);

/** Asked of the source: end the VM, or let it go on (`cancelled`). */
export const migrateConfirm = procedure(
  'DomainMigrateConfirm3Params',
  307,
  struct({ domain, parameters, cookie, flags: uint, cancelled: boolean }),
  nothing,
);

/** Milliseconds. */
export const migrateSetMaxDowntime = procedure(
  'DomainMigrateSetMaxDowntime',
  166,
  struct({ domain, downtimeMs: uhyper, flags: uint }),
  nothing,
);

export const migrateSetMaxSpeed = procedure(
  'DomainMigrateSetMaxSpeed',
  207,
  struct({ domain, mebibytesPerSecond: uhyper, flags: uint }),
  nothing,
);
