/** libvirt's own figures of the job, in the words that the driver knows from QMP. */

import { GodwitError } from '../../base/index.ts';
import { domainGetJobStats, findNumber } from '../../libvirt/index.ts';
import type { QmpExecutor } from '../../qmp/index.ts';
import { PAGE_SIZE_BYTES } from '../../vm/index.ts';
import type { DomainEnds } from './ends.ts';

/** As an answer to query-migrate: godwit never speaks to QEMU here. */
export function jobExecutor({ source, domain }: DomainEnds): QmpExecutor {
  return {
    execute: async (name) => {
      if (name !== 'query-migrate') throw new GodwitError('QMP_UNSUPPORTED', `libvirt has no ${name}`);
      const { parameters } = await source.call(domainGetJobStats, { domain, flags: 0 });
      const bytes = (field: string) => findNumber(parameters, field) ?? 0;
      return {
        status: 'active',
        ram: {
          transferred: bytes('memory_processed'),
          remaining: bytes('memory_remaining'),
          total: bytes('memory_total'),
          duplicate: bytes('memory_constant'),
          normal: bytes('memory_normal'),
          'normal-bytes': bytes('memory_normal_bytes'),
          'dirty-pages-rate': bytes('memory_dirty_rate'),
          'dirty-sync-count': bytes('memory_iteration'),
          'page-size': PAGE_SIZE_BYTES,
          mbps: 0,
        },
      };
    },
  };
}
