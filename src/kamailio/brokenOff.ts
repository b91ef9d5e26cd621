/** A connection that stood and ended while a request was under way: the request may have ended the process. */
import { OperatorError } from "../errors.ts";

/** The cause of a SIPR_RPC_UNREACHABLE. */
export class BrokenOff extends Error {}

export const isBrokenOff = (error: unknown): boolean =>
  error instanceof OperatorError && error.cause instanceof BrokenOff;
