/** Calls about the connection and the host. */

import { array, int, nothing, optional, string, struct, uhyper, uint } from './codec.ts';
import { procedure } from './procedure.ts';

/** REMOTE_AUTH_TYPE_LIST_MAX */
const AUTH_TYPES_MAX = 20;

export const AUTH = { NONE: 0, SASL: 1, POLKIT: 2 } as const;
export const AUTH_NAMES: Readonly<Record<number, string>> = { 0: 'none', 1: 'SASL', 2: 'polkit' };

/** VIR_DRV_FEATURE_… */
export const FEATURE = { KEEPALIVE: 10, MIGRATION_V3: 6, MIGRATION_PARAMS: 13 } as const;

export const authList = procedure('AuthList', 66, nothing, struct({ types: array(int, AUTH_TYPES_MAX) }));

export const authPolkit = procedure('AuthPolkit', 70, nothing, struct({ complete: int }));

export const connectOpen = procedure(
  'ConnectOpen',
  1,
  struct({ name: optional(string), flags: uint }),
  nothing,
);

export const connectSupportsFeature = procedure(
  'ConnectSupportsFeature',
  60,
  struct({ feature: int }),
  struct({ supported: int }),
);

/** libvirt's own: 1,000,000 * major + 1,000 * minor + release. */
export const connectGetLibVersion = procedure(
  'ConnectGetLibVersion',
  157,
  nothing,
  struct({ version: uhyper }),
);

/** QEMU's, in the same form. */
export const connectGetVersion = procedure('ConnectGetVersion', 4, nothing, struct({ version: uhyper }));

export const connectGetHostname = procedure('ConnectGetHostname', 59, nothing, struct({ hostname: string }));

/** An XML text about the host: its UUID, its processors, what it can run. */
export const connectGetCapabilities = procedure(
  'ConnectGetCapabilities',
  7,
  nothing,
  struct({ capabilities: string }),
);
