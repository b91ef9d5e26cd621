/** Two replicas of one router behind one advertised address. */
import type { RouterPlan, StructurePlan } from "../../src/ir/index.ts";
import { LocalKamailio } from "../support/sip/kamailio.ts";
import type { Bench } from "./fixture.ts";

export const ADVERTISED = "192.0.2.9";
/** where replicas talk to each other (DMQ) */
export const PEER_PORT = 9061;

/** Their health checks do not get between what a test sends. */
export const behindOneAddress: Partial<StructurePlan> = {
  advertise: ADVERTISED,
  sharedAddress: true,
  healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
};

/** The second one, which asks the first one of the bench for what it knows. */
export const startReplica = (bench: Bench, plan: RouterPlan): Promise<LocalKamailio> =>
  LocalKamailio.start(bench.program, plan, bench.host(2), {}, bench.host(1));

/** where callers send to: the first replica or the second */
export const at = (bench: Bench, replica: number): { readonly host: string; readonly port: number } => ({
  host: bench.host(replica),
  port: 5060,
});
