/** The plan of a router with everything that keeps strangers out, and its tables as Kamailio reads them. */
import type { RouterPlan } from "../../src/ir/index.ts";
import { routerPlan } from "./sip/plan.ts";

export const HA1 = "0123456789abcdef0123456789abcdef";

export const securedPlan = (
  data: Partial<RouterPlan["data"]> = {},
  structure: Partial<RouterPlan["structure"]> = {},
): RouterPlan =>
  routerPlan({
    structure: { accessControl: true, rateLimit: true, authentication: { realm: "example.com" }, ...structure },
    data: {
      access: { allow: ["10.0.0.0/8", "2001:db8::/32"], deny: ["192.0.2.1"] },
      limits: { requestsPerSecond: 50, banSeconds: 300 },
      credentials: { salt: "s", users: [{ user: "1000", ha1: HA1 }] },
      ...data,
    },
    sets: [{ name: "a", id: 1, destinations: [{ host: "192.0.2.1", port: 5060 }] }],
    routes: [{ name: "range", set: "a", digits: "1", length: 4 }],
  });

/** The rows of a db_text table, field by field, without the line of its columns. */
export const readRows = (text: string): string[][] =>
  text
    .slice(0, -1)
    .split("\n")
    .slice(1)
    .map((row) => row.split(/(?<!\\):/));
