/** Where somebody listens, whatever carries the bytes there. A type only. */

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}
