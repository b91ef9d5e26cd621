/** How the Kamailio container of a router is started, checked and stopped. Pure. */
import type { RouterPlan } from "../ir/types.ts";
import { CONFIG_FILE } from "./files.ts";
import { DRAIN_FILE } from "./kamailio/drain.ts";
import { integer } from "./kamailio/quote.ts";
import { hasReplication } from "./kamailio/replication.ts";
import { commandLineTokens, peerTokens } from "./kamailio/tokens.ts";
import { peersName } from "./objects/names.ts";
import { LOOPBACK_VARIABLE, RUN_DIR, STRUCTURE_DIR, TLS_DIR } from "./layout.ts";

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

/**
 * Kamailio's fast memory manager, for private and shared memory. The packages' default (`qm`, which checks each block)
 * spends two thirds of the time of a call in searching free blocks on 6.1, nine tenths on 5.6.
 */
const MEMORY_MANAGER = "fm";

const replicated = (plan: RouterPlan): boolean => hasReplication(plan.structure);

/**
 * `-DD`: not in the background; `-E`: log to standard error. Kamailio ends at once on SIGTERM: draining is `preStop`.
 * The pod's address may not be IPv6.
 */
export const renderProcess = (plan: RouterPlan): KamailioProcess => ({
  command: ["kamailio"],
  args: [
    "-DD",
    "-E",
    "-x",
    MEMORY_MANAGER,
    "-f",
    `${STRUCTURE_DIR}/${CONFIG_FILE}`,
    "-w",
    // the paths of tls.cfg are relative to it
    plan.structure.tls === undefined ? RUN_DIR : TLS_DIR,
    "-Y",
    RUN_DIR,
    "-P",
    `${RUN_DIR}/kamailio.pid`,
    "-m",
    integer("kamailio.shmMemoryMiB", plan.structure.shmMemoryMiB, 32, 65_536),
    ...Object.entries({ ...commandLineTokens, ...(replicated(plan) ? peerTokens : {}) }).flatMap(([token, value]) => [
      "--substdef",
      `!${token}!${value}!g`,
    ]),
  ],
  env: [
    { name: "POD_IP", fieldPath: "status.podIP" },
    // a network namespace has it also where the pod's own address is IPv6
    { name: LOOPBACK_VARIABLE, value: "127.0.0.1" },
    ...(replicated(plan) ? [{ name: "PEERS", value: `${peersName(plan.name)}.${plan.namespace}.svc` }] : []),
  ],
  readinessPath: "/readyz",
  livenessPath: "/healthz",
  preStop: ["/bin/sh", `${STRUCTURE_DIR}/${DRAIN_FILE}`, RUN_DIR, String(plan.workload.drainTimeoutSeconds)],
});
