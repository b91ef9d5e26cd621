/** Questions whose answer "there is none" Kamailio gives as a fault. */
import { OperatorError } from "../errors.ts";
import { parseDispatcherAnswer } from "./parse.ts";
import type { ObservedDestination } from "./types.ts";

/** One RPC to one Kamailio. Throws OperatorError SIPR_RPC_*. */
export type Call = (method: string, ...params: (string | number)[]) => Promise<unknown>;

/** Faults of `dispatcher.list` with an empty list, and of a key or prefix that no table has. */
export const NO_DESTINATIONS = /No Destination Sets/i;
export const NOT_THERE = /doesn't exist|not found|No such/i;

/** `otherwise` when Kamailio's fault says so. */
export async function orWhen<Value>(fault: RegExp, otherwise: Value, answer: Promise<Value>): Promise<Value> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof OperatorError && error.code === "SIPR_RPC_FAULT" && fault.test(error.message))
      return otherwise;
    throw error;
  }
}

/** @throws OperatorError SIPR_RPC_UNREACHABLE, SIPR_RPC_FAULT, SIPR_RPC_MALFORMED */
export const readDestinations = async (call: Call): Promise<readonly ObservedDestination[]> =>
  parseDispatcherAnswer(await orWhen<unknown>(NO_DESTINATIONS, { RECORDS: [] }, call("dispatcher.list")));
