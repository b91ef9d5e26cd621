/** SipRouter: a Kamailio fleet and its dialplan. */
import { z } from "zod";
import { digestAuthentication } from "./authentication.ts";
import { callers, dispatcherSets, listeners, routes } from "./dialplan.ts";
import { cidr, host, name } from "./fields.ts";
import { conditions } from "./conditions.ts";
import { nameText } from "./quote.ts";
import { type Rule, withRules } from "./rules.ts";
import { failover, healthCheck, kamailio, registration, rtpengineAddress, service } from "./operation.ts";

const fields = z.strictObject({
  replicas: z.int().min(0).max(1000).default(2).describe("Number of Kamailio pods."),
  listeners: listeners
    .default([
      { name: "udp", transport: "UDP", port: 5060 },
      { name: "tcp", transport: "TCP", port: 5060 },
    ])
    .describe("Where the router takes SIP traffic."),
  service: service.prefault({}).describe("The Service in front of the pods."),
  advertise: z
    .strictObject({ address: host.describe("IP address or DNS name.") })
    .optional()
    .describe(
      "Address that the router writes into Via, Record-Route and Path: behind a load balancer that of the load balancer. Default: the pod's own.",
    ),
  hostNetwork: z
    .boolean()
    .default(false)
    .describe("Pods use the network of their node. Not supported yet: true is refused."),
  dispatcherSets: dispatcherSets.describe("Groups of backends that calls are sent to."),
  routes: routes.default([]).describe("Which called numbers go to which set."),
  external: z
    .strictObject({
      set: name.describe("Dispatcher set that the calls go to."),
      callers: callers
        .default("Trusted")
        .describe(
          "Trusted (backends, authenticated users, accessControl.allow), or Anyone: an open relay, shown in a condition.",
        ),
    })
    .optional()
    .describe("Everything that no route claims: external numbers, PSTN. Default: 404."),
  failover: failover.prefault({}).describe("When a call goes on to the next destination of its set."),
  healthCheck: healthCheck.prefault({}).describe("Probing of destinations by OPTIONS."),
  registration: registration.prefault({}).describe("What happens with REGISTER."),
  authentication: digestAuthentication
    .optional()
    .describe("Authentication of callers and phones by the router itself."),
  accessControl: z
    .strictObject({
      allow: z
        .array(cidr)
        .max(1024)
        .default([])
        .describe("Not empty: only these sources and the backends are served, others get 403."),
      deny: z.array(cidr).max(1024).default([]).describe("Sources that are never served; wins over allow."),
    })
    .optional()
    .describe("Sources that may send requests at all."),
  rateLimit: z
    .strictObject({
      requestsPerSecond: z
        .int()
        .min(1)
        .max(100_000)
        .describe(
          "Requests per second and source address (of IPv6: its /64 network); backends have no limit. Who sends more gets one 503 with Retry-After, then nothing.",
        ),
      banSeconds: z
        .int()
        .min(1)
        .max(86_400)
        .default(300)
        .describe("How long a source that exceeds it is not served; its running calls go on."),
    })
    .optional()
    .describe("Protection against floods."),
  topologyHiding: z
    .strictObject({
      enabled: z
        .boolean()
        .default(false)
        .describe("Hide the addresses in all headers of one side from the other; bodies are left alone."),
    })
    .optional()
    .describe("Hiding of internal addresses (Kamailio: topoh)."),
  mediaProxy: z
    .strictObject({
      rtpengine: z
        .strictObject({
          addresses: z
            .array(rtpengineAddress)
            .min(1)
            .max(16)
            .describe("Control addresses, `udp:host:port` (Kamailio: `rtpengine_sock`)."),
        })
        .describe("RTPengine instances that relay media."),
    })
    .optional()
    .describe("Relays media through a proxy."),
  drain: z
    .strictObject({
      timeoutSeconds: z
        .int()
        .min(0)
        .max(86_400)
        .default(900)
        .describe("Longest time a pod waits for its calls to end before it stops."),
    })
    .prefault({})
    .describe("How a pod ends."),
  kamailio: kamailio.prefault({}).describe("The Kamailio container and its pod."),
});

type Fields = z.infer<typeof fields>;

const setExists = (
  { who, ...rule }: Pick<Rule<Fields>, "name" | "cel" | "fieldPath"> & { readonly who: string },
  wanted: (spec: Fields) => readonly { readonly path: readonly (string | number)[]; readonly set: string }[],
): Rule<Fields> => ({
  ...rule,
  reason: "SetNotFound",
  message: `${who} a dispatcher set that does not exist: add it to spec.dispatcherSets, or correct the name (kubectl sip validate -f FILE tells it).`,
  check: (spec) => {
    const sets = new Set(spec.dispatcherSets.map((set) => set.name));
    return wanted(spec)
      .filter(({ set }) => !sets.has(set))
      .map(({ path, set }) => ({
        path,
        message: `there is no dispatcher set ${nameText(set)}: add it to spec.dispatcherSets, or correct the name.`,
      }));
  },
});

export const sipRouterSpec = withRules(fields, [
  setExists(
    {
      name: "route-set-exists",
      who: "a route names",
      fieldPath: ".routes",
      // a map of the names, made once: 10,000 routes are looked up in it, not compared with every set
      cel: "[self.dispatcherSets.transformMapEntry(i, s, {s.name: true})].all(sets, self.routes.all(r, r.set in sets))",
    },
    (spec) => spec.routes.map((route, at) => ({ path: ["routes", at, "set"], set: route.set })),
  ),
  setExists(
    {
      name: "external-set-exists",
      who: "names",
      fieldPath: ".external.set",
      cel: "!has(self.external) || self.dispatcherSets.exists(s, s.name == self.external.set)",
    },
    (spec) => (spec.external === undefined ? [] : [{ path: ["external", "set"], set: spec.external.set }]),
  ),
  {
    name: "forward-all-needs-authentication",
    cel: "self.registration.mode != 'ForwardAll' || has(self.authentication)",
    fieldPath: ".registration.mode",
    message:
      "ForwardAll needs spec.authentication, as the challenges of several PBXes cannot be answered at once: add it, or use Forward or Registrar.",
    check: ({ registration: { mode }, authentication }) =>
      mode === "ForwardAll" && authentication === undefined ? [{ path: ["registration", "mode"] }] : [],
  },
  {
    name: "registrar-needs-authentication",
    cel: "self.registration.mode != 'Registrar' || has(self.authentication)",
    fieldPath: ".registration.mode",
    message:
      "Registrar needs spec.authentication, as anybody could take the calls of any user without it: add it, or use Forward.",
    check: ({ registration: { mode }, authentication }) =>
      mode === "Registrar" && authentication === undefined ? [{ path: ["registration", "mode"] }] : [],
  },
]);
export type SipRouterSpec = z.infer<typeof sipRouterSpec>;

export const podState = z.enum(["InSync", "Pending", "Stale", "Failed"]);
export type PodState = z.infer<typeof podState>;

const setStatus = z.object({
  name: z.string().describe("Name of the set."),
  id: z.int().describe("Number of the set; kept once it is allocated."),
  destinations: z.int().describe("Destinations, those of backends that drain or are disabled among them."),
  active: z.int().describe("Those of them that new calls go to on at least one ready pod."),
});

const podStatus = z.object({
  name: z.string().describe("Name of the pod."),
  revision: z.string().optional().describe("Revision that was read back from it."),
  state: podState.describe(
    "InSync: runs the current revision. Pending: being brought to it. Stale: runs an older one. Failed: did not come out right.",
  ),
  message: z.string().optional().describe("Why, when it is not InSync."),
});

const namedStatus = { "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] };

export const sipRouterStatus = z.object({
  observedGeneration: z
    .int()
    .default(-1)
    .describe("Generation of the spec that this status is about; -1: not yet seen."),
  conditions,
  replicas: z.int().optional().describe("Kamailio pods of the router."),
  readyReplicas: z.int().optional().describe("Those of them that are ready."),
  selector: z.string().optional().describe("Label selector of the pods, for autoscalers (scale subresource)."),
  addresses: z.array(z.string()).optional().describe("Addresses at which the router takes SIP traffic."),
  sets: z
    .array(setStatus)
    .meta(namedStatus)
    .optional()
    .describe("Each dispatcher set with its number and destinations."),
  /** "active/destinations" over all sets: the ACTIVE printer column. */
  active: z.string().optional().describe("Active destinations and all destinations, over all sets, such as 3/4."),
  revision: z.string().optional().describe("Hash of the data that every pod must run."),
  pods: z.array(podStatus).meta(namedStatus).optional().describe("Each Kamailio pod with what it runs."),
  lastHandledReloadAt: z
    .string()
    .optional()
    .describe(
      "Value of the annotation siprouter.dev/reload-requested-at that was handled last: the router was reconciled and every pod read back since.",
    ),
});
export type SipRouterStatus = z.infer<typeof sipRouterStatus>;
