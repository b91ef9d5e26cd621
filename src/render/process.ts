/** How the Kamailio container of a router is started, checked and stopped. Pure. */
import type { RouterPlan } from "../ir/types.ts";

/** One environment variable: exactly one of `value`, `fieldPath` (downward API) and `secretKey` (key of the Secret `<router>-control`). */
export interface ProcessEnv {
  readonly name: string;
  readonly value?: string;
  readonly fieldPath?: string;
  readonly secretKey?: string;
}

/** `args` and `preStop` may hold `$(NAME)` of an `env` entry and the mount paths of `layout.ts`; never a secret. */
export interface KamailioProcess {
  readonly command: readonly string[];
  readonly args: readonly string[];
  readonly env: readonly ProcessEnv[];
  /** HTTP GET paths on the control port */
  readonly readinessPath: string;
  readonly livenessPath: string;
  readonly preStop: readonly string[];
}

export const renderProcess = (plan: RouterPlan): KamailioProcess => {
  void plan;
  throw new Error("not implemented");
};
