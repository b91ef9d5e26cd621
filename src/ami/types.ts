/** What is known of one Asterisk by its manager interface. */

/** Closed: it is a label of metrics and a word of the status. */
export const amiStates = ["Connected", "Unreachable", "LoginRefused", "Denied", "Untrusted"] as const;
export type AmiState = (typeof amiStates)[number];

export interface AmiReading {
  /** as Asterisk says it, e.g. "22.5.2" */
  readonly version: string;
  /** live channels; a call through the PBX has two */
  readonly channels: number;
}

export interface AmiAddress {
  /** IP address */
  readonly host: string;
  readonly port: number;
  /** absent: plain TCP */
  readonly tls?: {
    /** the name or address that the certificate must be for */
    readonly name: string;
    /** PEM; absent: the authorities that the system trusts */
    readonly authorities?: string;
  };
}

/** One PBX as it was last seen. */
export interface AmiView {
  readonly host: string;
  readonly port: number;
  /** undefined: not asked yet */
  readonly state: AmiState | undefined;
  /** the last one known */
  readonly version?: string;
  /** of the last answer; absent while it is not connected */
  readonly channels?: number;
  /** why it is not connected */
  readonly message?: string;
}

/** Secret: never part of a message. */
export interface AmiLogin {
  readonly username: string;
  readonly password: string;
}

/** Why an Asterisk gives no reading. The message names neither user nor password. */
export class AmiError extends Error {
  readonly state: Exclude<AmiState, "Connected">;
  constructor(state: Exclude<AmiState, "Connected">, message: string) {
    super(message);
    this.name = "AmiError";
    this.state = state;
  }
}

/** One connection, logged in. */
export interface AmiSession {
  /** @throws AmiError; the session is over then */
  read(): Promise<AmiReading>;
  close(): void;
}

/** @throws AmiError */
export type ConnectAmi = (address: AmiAddress, login: AmiLogin) => Promise<AmiSession>;
