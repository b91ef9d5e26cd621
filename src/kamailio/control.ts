/** JSON-RPC over HTTP to the control port of one Kamailio at a time, serialised per address. */
import type { Control } from "./types.ts";

export interface ControlOptions {
  /** of one request, milliseconds; default 3000 */
  readonly timeoutMs?: number;
}

/** A {@link Control} that holds kept-alive connections until it is closed. */
export interface ClosableControl extends Control {
  close(): void;
}

export const createControl = (options: ControlOptions = {}): ClosableControl => {
  void options;
  throw new Error("not implemented");
};
