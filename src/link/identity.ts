/**
 * Who this end of the link is, as HELLO and WELCOME say it, and whom it accepts at the other end
 * (docs/format/link.md, 3). Pure. Not responsible for what follows from it: session.ts.
 */

import { assert } from '../base/index.ts';
import { controlFrame } from './connection.ts';
import { linkError } from './errors.ts';
import type { Frame } from './frame.ts';
import {
  type Acknowledgement,
  type Capabilities,
  decodeHello,
  encodeHello,
  type Hello,
  MIGRATION_ID_BYTES,
  type ProtocolVersion,
} from './hello.ts';
import { LANES_MAX, PROTOCOL_MAJOR, PROTOCOL_MINOR } from './limits.ts';

export interface IdentityOptions {
  /** 16 random bytes, the same at both ends. */
  readonly migrationId: Uint8Array;
  readonly laneCount: number;
  readonly capabilities: Capabilities;
  readonly version?: ProtocolVersion;
}

export class Identity {
  readonly laneCount: number;
  readonly version: ProtocolVersion;
  readonly #migrationId: Uint8Array;
  readonly #capabilities: Capabilities;

  constructor(options: IdentityOptions) {
    assert(options.migrationId.length === MIGRATION_ID_BYTES, 'a migration id has 16 bytes');
    assert(options.laneCount >= 1 && options.laneCount <= LANES_MAX, '1 to 64 lanes');
    this.laneCount = options.laneCount;
    this.version = options.version ?? { major: PROTOCOL_MAJOR, minor: PROTOCOL_MINOR };
    this.#migrationId = Uint8Array.from(options.migrationId);
    this.#capabilities = options.capabilities;
  }

  /** HELLO or WELCOME for one lane, as a whole frame. */
  greeting(type: number, lane: number, epoch: number, acknowledgement: Acknowledgement): Uint8Array {
    const payload = encodeHello({
      version: this.version,
      migrationId: this.#migrationId,
      lane,
      laneCount: this.laneCount,
      epoch,
      ...acknowledgement,
      capabilities: this.#capabilities,
    });
    return controlFrame(type, payload);
  }

  /**
   * Reads HELLO or WELCOME. Throws where it comes from another migration, or from one with other settings.
   */
  read(frame: Frame): Hello {
    const hello = decodeHello(frame.payload, this.version);
    if (!Buffer.from(hello.migrationId).equals(this.#migrationId)) {
      throw linkError('LINK_MIGRATION', 'the connection belongs to another migration');
    }
    const { role, pageSizeBytes } = hello.capabilities;
    const { laneCount } = this;
    if (
      hello.lane >= laneCount ||
      hello.laneCount !== laneCount ||
      role === this.#capabilities.role ||
      pageSizeBytes !== this.#capabilities.pageSizeBytes
    ) {
      throw linkError('LINK_CONNECTION', `lane ${hello.lane} of ${hello.laneCount} from a ${role}`, {
        fields: { lane: hello.lane, laneCount: hello.laneCount, laneCountOwn: laneCount, pageSizeBytes },
      });
    }
    return hello;
  }
}
