/**
 * status: ordered chains of pure checks, each `(input) -> {status, reason, message}`; merge keeps transition times.
 */
import type { Condition, Reason } from "../api/index.ts";

export interface Verdict {
  readonly status: Condition["status"];
  readonly reason: Reason;
  readonly message: string;
}
