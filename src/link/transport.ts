/** What the link needs of a byte stream. Implementations: transports/. */

export interface TransportHandlers {
  /** The chunk is valid during the call only: its memory may be freed then. */
  onData(chunk: Uint8Array): void;
  /** After `write` returned false: there is room again. */
  onWritable(): void;
  /** Once, last. Null: the other end closed in order. */
  onClosed(error: Error | null): void;
}

export interface Transport {
  /** For messages to the operator, for instance "tcp 10.0.0.2:4444". */
  readonly description: string;
  /** Starts the flow; called once. */
  open(handlers: TransportHandlers): void;
  /**
   * Takes all chunks, always. False: wait for `onWritable`. The chunks must not change before `onTaken`,
   * which is not called when the connection breaks first.
   */
  write(chunks: readonly Uint8Array[], onTaken?: () => void): boolean;
  /** Closes after what was written has gone out. */
  end(): void;
  destroy(): void;
}

/** Opens a new connection for `lane`. Rejects with LINK_TLS when trying again is pointless. */
export type Dial = (lane: number, signal: AbortSignal) => Promise<Transport>;
