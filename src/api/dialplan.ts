/** Parts of a SipRouter's dialplan: listeners, dispatcher sets, routes. */
import { z } from "zod";
import { domain, extension, name, objectName, port, prefix, transport } from "./fields.ts";
import { CONTROL_PORT, PEER_PORT } from "./ports.ts";
import { nameText } from "./quote.ts";
import { namedList, repeated, withRules } from "./rules.ts";
import { labelSelector } from "./selector.ts";

/** How calls are spread over the destinations of one priority (Kamailio: `alg` of `ds_select_dst`). */
export const algorithm = z.enum([
  "RoundRobin",
  "Weighted",
  "Priority",
  "CallLoad",
  "HashCallId",
  "HashFrom",
  "HashTo",
  "Random",
  "Latency",
]);
export type Algorithm = z.infer<typeof algorithm>;

export const listener = withRules(
  z.strictObject({
    name: name.describe("Name of the listener and of the Service's port, unique in the router."),
    transport: transport.describe("Transport; TLS needs a certificate."),
    port: port.describe(
      `Port of the Service and of the pods. ${CONTROL_PORT} is the pods' control port, ${PEER_PORT} that between replicas.`,
    ),
    tls: z
      .strictObject({
        secretName: objectName.describe("Secret of type kubernetes.io/tls, keys `tls.crt` and `tls.key`."),
      })
      .optional()
      .describe("Certificate of a TLS listener; required for TLS, refused else."),
  }),
  [
    {
      name: "tls-needs-secret",
      cel: "self.transport != 'TLS' || has(self.tls)",
      fieldPath: ".tls",
      message: "a TLS listener needs a certificate: name its Secret in tls.secretName.",
      check: ({ transport: used, tls }) => (used === "TLS" && tls === undefined ? [{ path: ["tls"] }] : []),
    },
    {
      name: "secret-needs-tls",
      cel: "self.transport == 'TLS' || !has(self.tls)",
      fieldPath: ".tls",
      message: "only a TLS listener has a certificate: remove tls, or use the transport TLS.",
      check: ({ transport: used, tls }) => (used !== "TLS" && tls !== undefined ? [{ path: ["tls"] }] : []),
    },
    {
      name: "control-port-is-taken",
      cel: `self.port != ${CONTROL_PORT}`,
      fieldPath: ".port",
      message: `port ${CONTROL_PORT} is the control port of the pods: use another port.`,
      reason: "ListenerConflict",
      check: ({ port: number }) => (number === CONTROL_PORT ? [{ path: ["port"] }] : []),
    },
    {
      name: "peer-port-is-taken",
      cel: `self.port != ${PEER_PORT}`,
      fieldPath: ".port",
      message: `port ${PEER_PORT} is that on which the replicas of a router speak to each other: use another port.`,
      reason: "ListenerConflict",
      check: ({ port: number }) => (number === PEER_PORT ? [{ path: ["port"] }] : []),
    },
  ],
);

export const listeners = namedList(listener, {
  min: 1,
  max: 16,
  rule: "listener-names-are-unique",
  reason: "ListenerConflict",
  rules: [
    {
      name: "listener-ports-are-unique",
      cel: "self.all(a, self.exists_one(b, a.port == b.port && (a.transport == 'UDP') == (b.transport == 'UDP')))",
      message: "two listeners share a port (TLS and TCP are both TCP): change one of the two.",
      reason: "ListenerConflict",
      check: (items) => {
        const seen = new Map<string, number>();
        return items.flatMap(({ transport: used, port: number }, at) => {
          const key = `${used === "UDP" ? "UDP" : "TCP"} port ${number}`;
          const first = seen.get(key);
          if (first === undefined) seen.set(key, at);
          return first === undefined
            ? []
            : [
                {
                  path: [at, "port"],
                  message: `${key} is also that of listener ${first} (TLS and TCP are both TCP): change one of the two.`,
                },
              ];
        });
      },
    },
  ],
});

/** Priorities 0 to 98: 99 is the tier in which the operator keeps draining destinations. */
export const backendRef = z.strictObject({
  name: objectName.describe("Name of a PbxBackend in the namespace of the router."),
  priority: z
    .int()
    .min(0)
    .max(98)
    .default(0)
    .describe(
      "0 is tried first; a higher number is a backup: used when no destination of a lower number is active, and as failover of a failed call.",
    ),
  weight: z
    .int()
    .min(1)
    .max(100)
    .optional()
    .describe(
      "Share of calls among equal priorities, with the algorithm Weighted only (Kamailio: `rweight`). Default 1.",
    ),
});

export const dispatcherSet = withRules(
  z.strictObject({
    name: name.describe("Name of the set, unique in the router; routes refer to it."),
    id: z
      .int()
      .min(1)
      .max(9999)
      .optional()
      .describe(
        "Number of the set, unique in the router (Kamailio: set id = id × 100 + priority). Default: allocated once, kept in status.sets.",
      ),
    algorithm: algorithm
      .default("RoundRobin")
      .describe(
        "How calls are spread over active destinations of one priority. RoundRobin; Weighted (by weight); Priority (first active, in order); CallLoad (fewest calls); HashCallId, HashFrom, HashTo (same key, same destination); Random; Latency (fastest to answer OPTIONS).",
      ),
    backends: namedList(backendRef, { max: 256, rule: "backend-names-are-unique", reason: "SetConflict" })
      .optional()
      .describe(
        "Backends of the set. A set needs backends or a selector; with both, what the selector adds has priority 0.",
      ),
    selector: labelSelector
      .optional()
      .describe(
        "Adds every PbxBackend of the namespace whose labels match, with priority 0. An empty selector matches all.",
      ),
  }),
  [
    {
      name: "set-has-backends",
      cel: "has(self.selector) || (has(self.backends) && self.backends.size() > 0)",
      message: "the set has no backend: list PbxBackends in backends, or choose them by a selector.",
      reason: "NoBackends",
      check: ({ name: set, backends = [], selector }) =>
        backends.length > 0 || selector !== undefined
          ? []
          : [
              {
                path: [],
                message: `the set ${nameText(set)} has no backend: list PbxBackends in backends, or choose them by a selector.`,
              },
            ],
    },
    {
      name: "weight-needs-weighted",
      cel: "self.algorithm == 'Weighted' || !has(self.backends) || self.backends.all(b, !has(b.weight))",
      fieldPath: ".backends",
      message: "a weight has no effect with this algorithm: remove it, or use the algorithm Weighted.",
      check: ({ algorithm: used, backends = [] }) =>
        backends.flatMap(({ weight }, at) =>
          weight === undefined || used === "Weighted"
            ? []
            : [
                {
                  path: ["backends", at, "weight"],
                  message: `a weight has no effect with the algorithm ${used}: remove it, or use Weighted.`,
                },
              ],
        ),
    },
  ],
);

export const dispatcherSets = namedList(dispatcherSet, {
  min: 1,
  max: 256,
  rule: "set-names-are-unique",
  reason: "SetConflict",
  rules: [
    {
      name: "set-ids-are-unique",
      cel: "self.all(a, !has(a.id) || self.exists_one(b, has(b.id) && b.id == a.id))",
      message: "two dispatcher sets have the same id: change one of the two, or leave it out.",
      reason: "SetConflict",
      check: (sets) =>
        repeated(sets.map(({ id }) => id)).map(({ at, first, value }) => ({
          path: [at, "id"],
          message: `the id ${value} is also that of dispatcher set ${first}: change one of the two, or leave it out.`,
        })),
    },
  ],
});

/** Trusted: backends, authenticated users, accessControl.allow. */
export const callers = z.enum(["Trusted", "Anyone"]);
export type Callers = z.infer<typeof callers>;

const match = withRules(
  z.strictObject({
    extensions: z
      .array(extension)
      .min(1)
      .max(256)
      .optional()
      .describe(
        "Called numbers: one number, or a range of two numbers of the same length, the lower first. `1000-1999` claims four-digit numbers only.",
      ),
    prefixes: z
      .array(prefix)
      .min(1)
      .max(1024)
      .optional()
      .describe("Leading digits of called numbers of any length; a + is literal."),
    domains: z
      .array(domain)
      .min(1)
      .max(64)
      .optional()
      .describe("Domains of the request URI that the route is limited to; alone: every number in these domains."),
  }),
  [
    {
      name: "route-matches-something",
      cel: "has(self.extensions) || has(self.prefixes) || has(self.domains)",
      message:
        "the route matches nothing: give it extensions, prefixes or domains; what no route claims goes to spec.external.",
      check: ({ extensions, prefixes, domains }) =>
        (extensions ?? prefixes ?? domains) === undefined ? [{ path: [] }] : [],
    },
  ],
);

const rewrite = withRules(
  z.strictObject({
    strip: z.int().min(0).max(20).optional().describe("Leading digits to remove from the called number."),
    prefix: prefix.optional().describe("Digits to put before it, after strip."),
  }),
  [
    {
      name: "rewrite-does-something",
      cel: "has(self.strip) || has(self.prefix)",
      message: "a rewrite needs strip or prefix: add one, or remove rewrite.",
      check: ({ strip, prefix: digits }) => (strip === undefined && digits === undefined ? [{ path: [] }] : []),
    },
  ],
);

export const route = withRules(
  z.strictObject({
    name: name.describe("Name of the route, unique in the router; `external` is reserved."),
    match: match.describe(
      "What the route claims. Domain before no domain, extension before range before prefix, the narrower range, the longer prefix.",
    ),
    set: name.describe("Dispatcher set that the calls go to."),
    callers: callers
      .default("Anyone")
      .describe("Anyone, or Trusted: backends, authenticated users and accessControl.allow; others get 403."),
    rewrite: rewrite
      .optional()
      .describe("Changes the called number towards the set; failover attempts get the same number."),
  }),
  [
    {
      name: "external-is-reserved",
      cel: "self.name != 'external'",
      fieldPath: ".name",
      message: "the name external is that of the rule spec.external: rename the route.",
      check: ({ name: given }) => (given === "external" ? [{ path: ["name"] }] : []),
    },
  ],
);

export const routes = namedList(route, { max: 10_000, rule: "route-names-are-unique", reason: "RouteConflict" });
