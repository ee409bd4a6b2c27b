/** Calls about domains that are no part of a migration's five steps. */

import { array, int, nothing, string, struct, type TypeOf, uhyper, uint, uuid } from './codec.ts';
import { procedure } from './procedure.ts';
import { typedParameters } from './typed-parameters.ts';

/** REMOTE_DOMAIN_LIST_MAX, REMOTE_DOMAIN_JOB_STATS_MAX */
const DOMAINS_MAX = 16_384;
export const JOB_PARAMETERS_MAX = 64;

/**
 * A domain as libvirt names it in every call; `id` is -1 while it is not active, and another one after each
 * start.
 */
export const domain = struct({ name: string, uuid, id: int });
export type DomainRef = TypeOf<typeof domain>;

const ofDomain = struct({ domain });
const withFlags = struct({ domain, flags: uint });

export const domainLookupById = procedure('DomainLookupByID', 22, struct({ id: int }), ofDomain);

export const domainLookupByName = procedure('DomainLookupByName', 23, struct({ name: string }), ofDomain);

export const domainLookupByUuid = procedure('DomainLookupByUUID', 24, struct({ uuid }), ofDomain);

/** VIR_CONNECT_LIST_DOMAINS_… */
export const LIST = { ACTIVE: 1, INACTIVE: 2, PERSISTENT: 4, TRANSIENT: 8 } as const;

export const connectListAllDomains = procedure(
  'ConnectListAllDomains',
  273,
  struct({ needResults: int, flags: uint }),
  struct({ domains: array(domain, DOMAINS_MAX), count: uint }),
);

/** VIR_DOMAIN_XML_… */
export const XML = { SECURE: 1, INACTIVE: 2, MIGRATABLE: 8 } as const;

export const domainGetXmlDesc = procedure('DomainGetXMLDesc', 14, withFlags, struct({ xml: string }));

export const domainGetState = procedure(
  'DomainGetState',
  212,
  withFlags,
  struct({ state: int, reason: int }),
);

/** Memory in KiB, processor time in nanoseconds. */
// The state is an unsigned char and the number of processors an unsigned short: XDR gives both four bytes.
export const domainGetInfo = procedure(
  'DomainGetInfo',
  16,
  ofDomain,
  struct({ state: uint, maxMemory: uhyper, memory: uhyper, vcpuCount: uint, cpuTime: uhyper }),
);

export const domainIsPersistent = procedure('DomainIsPersistent', 151, ofDomain, struct({ persistent: int }));

const jobInfo = {
  type: int,
  timeElapsed: uhyper,
  timeRemaining: uhyper,
  dataTotal: uhyper,
  dataProcessed: uhyper,
  dataRemaining: uhyper,
  memTotal: uhyper,
  memProcessed: uhyper,
  memRemaining: uhyper,
  fileTotal: uhyper,
  fileProcessed: uhyper,
  fileRemaining: uhyper,
} as const;

/** VIR_DOMAIN_JOB_…, by number. */
export const JOB_TYPES = ['none', 'bounded', 'unbounded', 'completed', 'failed', 'cancelled'] as const;

export const domainGetJobInfo = procedure('DomainGetJobInfo', 163, ofDomain, struct(jobInfo));

export const domainGetJobStats = procedure(
  'DomainGetJobStats',
  298,
  withFlags,
  struct({ type: int, parameters: typedParameters(JOB_PARAMETERS_MAX) }),
);

export const domainAbortJob = procedure('DomainAbortJob', 164, ofDomain, nothing);

/** The domain's definition is kept; nothing runs yet. */
export const domainDefineXml = procedure('DomainDefineXML', 11, struct({ xml: string }), ofDomain);

/** Starts a domain that libvirt forgets when it ends. */
export const domainCreateXml = procedure(
  'DomainCreateXML',
  10,
  struct({ xml: string, flags: uint }),
  ofDomain,
);

export const domainCreate = procedure('DomainCreate', 9, ofDomain, nothing);

export const domainUndefine = procedure('DomainUndefine', 35, ofDomain, nothing);

export const domainDestroy = procedure('DomainDestroy', 12, ofDomain, nothing);

export const domainResume = procedure('DomainResume', 28, ofDomain, nothing);
