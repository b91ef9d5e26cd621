/** A router that keeps registrations itself, at most two contacts of a user, with one PBX. */
import type { RouterPlan } from "../../src/ir/index.ts";
import { ha1Of } from "../support/sip/digestLogin.ts";
import type { SipPeer } from "../support/sip/peer.ts";
import { routerPlan } from "../support/sip/plan.ts";

export const REALM = "example.com";

/** The password of each is `secret-` and his name. */
export const registrarPlan = (pbx: SipPeer, users: readonly string[]): RouterPlan =>
  routerPlan({
    structure: {
      registration: { mode: "Registrar", maxExpiresSeconds: 300, maxContacts: 2 },
      authentication: { realm: REALM },
      healthCheck: { intervalSeconds: 3600, timeoutSeconds: 1, failureThreshold: 3, successThreshold: 1 },
    },
    sets: [{ name: "pbx", id: 1, destinations: [pbx] }],
    routes: [{ name: "pbx", set: "pbx", digits: "1", length: 4 }],
    data: {
      credentials: {
        salt: "1",
        users: users.map((user) => ({ user, ha1: ha1Of(user, REALM, `secret-${user}`) })),
      },
    },
  });
