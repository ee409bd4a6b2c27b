/**
 * How far the gateway is on its way to post-copy, and QEMU's bytes from its beginning on, kept until the
 * pages before them have gone. Pure.
 */

import { MIB } from '../../base/index.ts';
import { PackageWalk, type PassThrough } from '../../stream/index.ts';
import { gatewayErrors } from '../errors.ts';

/** More would delay the pages that the started VM asks for. */
const KEPT_BYTES_MAX = 256 * 1024;
/** Until the source is past it, QEMU's package of the machine's state, in which RUN is, has room. */
const PACKAGE_BYTES_MAX = 64 * MIB;

export class PostCopyStage {
  /** QEMU is invited; then it has begun. */
  #step: 'none' | 'invited' | 'begun' = 'none';
  #pieces: Uint8Array[] = [];
  #keptBytes = 0;
  readonly #walk = new PackageWalk();
  readonly #past = Promise.withResolvers<void>();

  invite(): void {
    this.#step = 'invited';
  }

  /** QEMU's stream can no longer be taken apart. Errors: STREAM_UNREADABLE, unless that was invited. */
  begin(cause: PassThrough): void {
    if (this.#step !== 'invited' || cause.reason !== 'postcopy') throw gatewayErrors.unreadable(cause);
    this.#step = 'begun';
  }

  get hasBegun(): boolean {
    return this.#step === 'begun';
  }

  /** Once what waits has gone, nothing is left to be sent. */
  get isLast(): boolean {
    return this.#step === 'begun';
  }

  get mustWait(): boolean {
    return this.#keptBytes >= (this.#walk.isPast ? KEPT_BYTES_MAX : PACKAGE_BYTES_MAX);
  }

  /**
   * Resolves when the source sends pages. Until then a failure starts its VM again, whatever query-migrate
   * calls that moment; RUN is on its way already (QEMU: postcopy_start).
   */
  get sourceIsPast(): Promise<void> {
    return this.#past.promise;
  }

  /** `bytes` is copied. */
  keep(bytes: Uint8Array): void {
    this.#pieces.push(Uint8Array.from(bytes));
    this.#keptBytes += bytes.length;
    this.#walk.write(bytes);
    if (this.#walk.isPast) this.#past.resolve();
  }

  take(): readonly Uint8Array[] {
    const pieces = this.#pieces;
    this.#pieces = [];
    this.#keptBytes = 0;
    return pieces;
  }
}
