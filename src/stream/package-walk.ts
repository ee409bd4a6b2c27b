/**
 * Where QEMU's stream stands on its way into post-copy: commands, one of which is the package with the
 * machine's state and RUN, then pages (docs/format/qemu-stream.md). Pure; looks at no byte of a payload.
 */

import { COMMAND, readBe32, TAG } from './wire.ts';

/** Tag, be16 command, be16 length of its payload. */
const COMMAND_BYTES = 5;
/** PACKAGED's own payload is a be32: how many bytes of commands and sections follow it. */
const PACKAGED_BYTES = COMMAND_BYTES + 4;

export class PackageWalk {
  readonly #header = new Uint8Array(PACKAGED_BYTES);
  #headerBytes = 0;
  #payloadBytes = 0;
  #hasPackage = false;
  #isPast = false;

  /** What follows the package and its commands has begun. */
  get isPast(): boolean {
    return this.#isPast;
  }

  /** The stream from post-copy's first command on, in pieces of any size. */
  write(bytes: Uint8Array): void {
    for (let at = 0; at < bytes.length && !this.#isPast; ) {
      if (this.#payloadBytes > 0) {
        const skippedBytes = Math.min(this.#payloadBytes, bytes.length - at);
        this.#payloadBytes -= skippedBytes;
        at += skippedBytes;
      } else this.#headerByte(bytes[at++]!);
    }
  }

  #headerByte(byte: number): void {
    if (this.#headerBytes === 0 && byte !== TAG.command) {
      this.#isPast = this.#hasPackage;
      return;
    }
    this.#header[this.#headerBytes++] = byte;
    if (this.#headerBytes < COMMAND_BYTES) return;
    const header = this.#header;
    const isPackage = ((header[1]! << 8) | header[2]!) === COMMAND.packaged;
    if (isPackage && this.#headerBytes < PACKAGED_BYTES) return;
    this.#payloadBytes = isPackage ? readBe32(header, COMMAND_BYTES) : (header[3]! << 8) | header[4]!;
    this.#hasPackage ||= isPackage;
    this.#headerBytes = 0;
  }
}
