/**
 * Objects that both halves of the validation must judge alike: the schemas and rules of src/api, and the generated CRDs
 * on a real API server. One table drives both.
 */
import { z } from "zod";
import { API_VERSION, kinds } from "../../src/api/index.ts";

export type Fields = Record<string, unknown>;

export interface ApiCase {
  readonly name: string;
  readonly kind: "SipRouter" | "PbxBackend";
  readonly metadataName?: string;
  readonly spec: Fields;
  /** absent: both halves accept the object */
  readonly refused?: {
    /** as the parser names it */
    readonly path: string;
    /** part of the parser's message */
    readonly message: RegExp;
    /** name of the rule that is broken; absent for the schema of a field */
    readonly rule?: string;
    /** part of the API server's message (default: the static message of the rule); "accepted" where only the parser refuses */
    readonly server?: RegExp | "accepted";
  };
}

export const minimalRouter = { dispatcherSets: [{ name: "pbx", backends: [{ name: "pbx-1" }] }] };
export const minimalBackend = { address: "192.0.2.10" };

const set = (fields: Fields = {}): Fields => ({ name: "pbx", backends: [{ name: "pbx-1" }], ...fields });
const route = (fields: Fields = {}): Fields => ({ name: "r", match: { extensions: ["1000"] }, set: "pbx", ...fields });
const tenant = (domain: string, credentialsSecretName = `users-${domain}`): Fields => ({
  domain,
  credentialsSecretName,
});
const tlsListener = { name: "tls", transport: "TLS", port: 5061 };

const router = (name: string, fields: Fields, refused?: ApiCase["refused"]): ApiCase => ({
  name,
  kind: "SipRouter",
  spec: { ...minimalRouter, ...fields },
  ...(refused ? { refused } : {}),
});
const backend = (name: string, spec: Fields, refused?: ApiCase["refused"]): ApiCase => ({
  name,
  kind: "PbxBackend",
  spec,
  ...(refused ? { refused } : {}),
});
const routed = (name: string, match: Fields, refused?: ApiCase["refused"]): ApiCase =>
  router(name, { routes: [route({ match })] }, refused);

export const objectOf = (one: ApiCase): Fields & { metadata: { name: string; namespace: string } } => ({
  apiVersion: API_VERSION,
  kind: one.kind,
  metadata: { name: one.metadataName ?? "case", namespace: "default" },
  spec: one.spec,
});

const backendCases: readonly ApiCase[] = [
  backend("address", minimalBackend),
  backend("IPv6 address", { address: "2001:db8::1", transport: "TLS" }),
  backend("DNS name", { address: "pbx.example.com", port: 5080 }),
  backend("service by port name", { service: { name: "asterisk", port: "sip" } }),
  backend("service by port number", { service: { name: "asterisk", port: 5060 } }),
  backend("registration", { registration: { username: "pbx-1", secretName: "pbx-1" } }),
  backend(
    "no source",
    {},
    { path: "spec", message: /one of address, service and registration/, rule: "backend-has-one-source" },
  ),
  backend(
    "two sources",
    { address: "192.0.2.10", service: { name: "asterisk" } },
    { path: "spec", message: /keep one of address, service/, rule: "backend-has-one-source" },
  ),
  backend(
    "port without address",
    { service: { name: "asterisk" }, port: 5060 },
    { path: "spec.port", message: /give service\.port/, rule: "port-needs-address" },
  ),
  backend(
    "mistyped IPv4 address",
    { address: "192.0.2.300" },
    { path: "spec.address", message: /IPv4 address/, rule: "host-is-address-or-name" },
  ),
  backend(
    "mistyped IPv6 address",
    { address: "2001:db8:::1" },
    { path: "spec.address", message: /IPv6/, rule: "host-is-address-or-name" },
  ),
  backend(
    "IPv4-mapped address",
    { address: "::ffff:192.0.2.1" },
    { path: "spec.address", message: /IPv6/, rule: "host-is-address-or-name" },
  ),
  backend(
    "port 0",
    { address: "192.0.2.10", port: 0 },
    { path: "spec.port", message: /use at least 1/, server: /greater than or equal to 1/ },
  ),
  backend(
    "transport in lower case",
    { address: "192.0.2.10", transport: "udp" },
    {
      path: "spec.transport",
      message: /"udp": use one of UDP, TCP, TLS; did you mean UDP/,
      server: /Unsupported value: "udp"/,
    },
  ),
  backend(
    "text for a number",
    { address: "192.0.2.10", maxCalls: "many" },
    { path: "spec.maxCalls", message: /must be a whole number, but is "many"/, server: /must be of type integer/ },
  ),
  backend(
    "unknown field",
    { addres: "192.0.2.10", address: "192.0.2.10" },
    { path: "spec.addres", message: /did you mean address\?/, server: /unknown field "spec.addres"/ },
  ),
];

const listenerCases: readonly ApiCase[] = [
  router("UDP and TCP on one port", {
    listeners: [
      { name: "udp", transport: "UDP", port: 5060 },
      { name: "tcp", transport: "TCP", port: 5060 },
    ],
  }),
  router("TLS with a Secret", { listeners: [{ ...tlsListener, tls: { secretName: "edge-tls" } }] }),
  router(
    "TLS without a Secret",
    { listeners: [tlsListener] },
    {
      path: "spec.listeners[0].tls",
      message: /name its Secret/,
      rule: "tls-needs-secret",
    },
  ),
  router(
    "UDP with a Secret",
    { listeners: [{ name: "udp", transport: "UDP", port: 5060, tls: { secretName: "edge-tls" } }] },
    { path: "spec.listeners[0].tls", message: /remove tls/, rule: "secret-needs-tls" },
  ),
  router(
    "TCP and TLS on one port",
    {
      listeners: [
        { name: "tcp", transport: "TCP", port: 5061 },
        { ...tlsListener, tls: { secretName: "edge-tls" } },
      ],
    },
    {
      path: "spec.listeners[1].port",
      message: /TCP port 5061 is also that of listener 0/,
      rule: "listener-ports-are-unique",
    },
  ),
  router(
    "listener name twice",
    {
      listeners: [
        { name: "sip", transport: "UDP", port: 5060 },
        { name: "sip", transport: "TCP", port: 5060 },
      ],
    },
    {
      path: "spec.listeners[1].name",
      message: /the name sip is also that/,
      rule: "listener-names-are-unique",
      server: /Duplicate value/,
    },
  ),
  ...(["UDP", "TCP"] as const).flatMap((transport) => [
    router(
      `control port, ${transport}`,
      { listeners: [{ name: "sip", transport, port: 9060 }] },
      { path: "spec.listeners[0].port", message: /control port/, rule: "control-port-is-taken" },
    ),
    router(
      `port of the replicas, ${transport}`,
      { listeners: [{ name: "sip", transport, port: 9061 }] },
      { path: "spec.listeners[0].port", message: /replicas .*use another port/, rule: "peer-port-is-taken" },
    ),
  ]),
  router(
    "no listener",
    { listeners: [] },
    { path: "spec.listeners", message: /at least 1 items/, server: /at least 1 items/ },
  ),
];

const setCases: readonly ApiCase[] = [
  router("set by selector", { dispatcherSets: [{ name: "pbx", selector: { matchLabels: { role: "pbx" } } }] }),
  router("weights", {
    dispatcherSets: [set({ algorithm: "Weighted", backends: [{ name: "a", weight: 20 }, { name: "b" }] })],
  }),
  router("ids", { dispatcherSets: [set({ id: 1 }), set({ name: "b", id: 2 }), set({ name: "c" })] }),
  router(
    "no set",
    { dispatcherSets: [] },
    { path: "spec.dispatcherSets", message: /at least 1 items/, server: /at least 1 items/ },
  ),
  router(
    "set without backend",
    { dispatcherSets: [{ name: "pbx" }] },
    {
      path: "spec.dispatcherSets[0]",
      message: /the set pbx has no backend/,
      rule: "set-has-backends",
    },
  ),
  router(
    "set with an empty list",
    { dispatcherSets: [set({ backends: [] })] },
    {
      path: "spec.dispatcherSets[0]",
      message: /the set pbx has no backend/,
      rule: "set-has-backends",
    },
  ),
  router(
    "set name twice",
    { dispatcherSets: [set(), set()] },
    {
      path: "spec.dispatcherSets[1].name",
      message: /the name pbx is also that/,
      rule: "set-names-are-unique",
      server: /Duplicate value/,
    },
  ),
  router(
    "set id twice",
    { dispatcherSets: [set({ id: 7 }), set({ name: "b", id: 7 })] },
    {
      path: "spec.dispatcherSets[1].id",
      message: /the id 7 is also that/,
      rule: "set-ids-are-unique",
    },
  ),
  router(
    "backend twice",
    { dispatcherSets: [set({ backends: [{ name: "a" }, { name: "a", priority: 1 }] })] },
    {
      path: "spec.dispatcherSets[0].backends[1].name",
      message: /the name a is also that/,
      rule: "backend-names-are-unique",
      server: /Duplicate value/,
    },
  ),
  router(
    "weight without Weighted",
    { dispatcherSets: [set({ backends: [{ name: "a", weight: 2 }] })] },
    {
      path: "spec.dispatcherSets[0].backends[0].weight",
      message: /no effect with the algorithm RoundRobin/,
      rule: "weight-needs-weighted",
    },
  ),
  router(
    "In without values",
    { dispatcherSets: [{ name: "pbx", selector: { matchExpressions: [{ key: "role", operator: "In" }] } }] },
    {
      path: "spec.dispatcherSets[0].selector.matchExpressions[0].values",
      message: /In and NotIn need values/,
      rule: "values-fit-operator",
    },
  ),
  router(
    "priority 99",
    { dispatcherSets: [set({ backends: [{ name: "a", priority: 99 }] })] },
    {
      path: "spec.dispatcherSets[0].backends[0].priority",
      message: /use at most 98/,
      server: /less than or equal to 98/,
    },
  ),
];

const routeCases: readonly ApiCase[] = [
  routed("range", { extensions: ["1000-1999", "*97", "0000-0000"] }),
  routed("prefixes", { prefixes: ["+44", "0044"] }),
  routed("domain alone", { domains: ["b.example.com"] }),
  routed(
    "nothing to match",
    {},
    {
      path: "spec.routes[0].match",
      message: /the route matches nothing/,
      rule: "route-matches-something",
    },
  ),
  routed(
    "range of unequal lengths",
    { extensions: ["100-1999"] },
    {
      path: "spec.routes[0].match.extensions[0]",
      message: /"100-1999": .*same length/,
      server: /should match/,
    },
  ),
  routed(
    "range that descends",
    { extensions: ["1999-1000"] },
    {
      path: "spec.routes[0].match.extensions[0]",
      message: /write 1000-1999/,
      rule: "range-ascends",
      server: "accepted",
    },
  ),
  routed(
    "prefix with a plus inside",
    { prefixes: ["44+1"] },
    {
      path: "spec.routes[0].match.prefixes[0]",
      message: /only as the first character/,
      server: /should match/,
    },
  ),
  routed(
    "domain in capitals",
    { domains: ["B.example.com"] },
    {
      path: "spec.routes[0].match.domains[0]",
      message: /lower case/,
      server: /should match/,
    },
  ),
  router(
    "route to an unknown set",
    { routes: [route(), route({ name: "s", set: "nowhere" })] },
    {
      path: "spec.routes[1].set",
      message: /there is no dispatcher set nowhere/,
      rule: "route-set-exists",
      server: /spec\.routes: .*a route names a dispatcher set that does not exist/,
    },
  ),
  router(
    "external to an unknown set",
    { external: { set: "nowhere" } },
    {
      path: "spec.external.set",
      message: /there is no dispatcher set nowhere/,
      rule: "external-set-exists",
      server: /spec\.external\.set: .*names a dispatcher set that does not exist/,
    },
  ),
  router("external", { external: { set: "pbx" } }),
  router(
    "route name twice",
    { routes: [route(), route({ match: { extensions: ["2000"] } })] },
    {
      path: "spec.routes[1].name",
      message: /the name r is also that/,
      rule: "route-names-are-unique",
      server: /Duplicate value/,
    },
  ),
  router(
    "route named external",
    { routes: [route({ name: "external" })] },
    {
      path: "spec.routes[0].name",
      message: /rename the route/,
      rule: "external-is-reserved",
    },
  ),
  router("rewrite", { routes: [route({ rewrite: { strip: 1, prefix: "+44" } })] }),
  router(
    "empty rewrite",
    { routes: [route({ rewrite: {} })] },
    {
      path: "spec.routes[0].rewrite",
      message: /needs strip or prefix/,
      rule: "rewrite-does-something",
    },
  ),
  router(
    "route without a set",
    { routes: [{ name: "r", match: { extensions: ["1000"] } }] },
    {
      path: "spec.routes[0].set",
      message: /is required/,
      server: /set: Required value/,
    },
  ),
];

const operationCases: readonly ApiCase[] = [
  router("minimal", {}),
  router("ForwardAll with authentication", {
    registration: { mode: "ForwardAll" },
    authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "subscribers" },
  }),
  router(
    "ForwardAll without authentication",
    { registration: { mode: "ForwardAll" } },
    {
      path: "spec.registration.mode",
      message: /ForwardAll needs spec\.authentication/,
      rule: "forward-all-needs-authentication",
    },
  ),
  router("Registrar with authentication", {
    registration: { mode: "Registrar", maxContacts: 4, natKeepAliveSeconds: 0 },
    authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "subscribers" },
  }),
  router(
    "Registrar without authentication",
    { registration: { mode: "Registrar" } },
    {
      path: "spec.registration.mode",
      message: /Registrar needs spec\.authentication/,
      rule: "registrar-needs-authentication",
    },
  ),
  router("users of several domains", {
    registration: { mode: "Registrar" },
    authentication: { mode: "Digest", domains: [tenant("a.example.com"), tenant("b.example.com")] },
  }),
  router("two domains that share a Secret", {
    authentication: { mode: "Digest", domains: [tenant("a.example.com", "users"), tenant("192.0.2.1", "users")] },
  }),
  router(
    "authentication without users",
    { authentication: { mode: "Digest", realm: "example.com" } },
    {
      path: "spec.authentication",
      message: /exactly one of credentialsSecretName and domains/,
      rule: "authentication-has-one-source",
    },
  ),
  router(
    "authentication with one Secret and domains",
    { authentication: { mode: "Digest", credentialsSecretName: "users", domains: [tenant("a.example.com")] } },
    {
      path: "spec.authentication",
      message: /exactly one of credentialsSecretName and domains/,
      rule: "authentication-has-one-source",
    },
  ),
  router(
    "a realm beside domains",
    { authentication: { mode: "Digest", realm: "example.com", domains: [tenant("a.example.com")] } },
    {
      path: "spec.authentication.realm",
      message: /each domain is its own realm: remove realm/,
      rule: "realm-belongs-to-one-secret",
    },
  ),
  router(
    "users without a realm",
    { authentication: { mode: "Digest", credentialsSecretName: "users" } },
    { path: "spec.authentication.realm", message: /needs a realm.*add it/, rule: "secret-needs-realm" },
  ),
  router(
    "a domain of users twice",
    { authentication: { mode: "Digest", domains: [tenant("a.example.com"), tenant("a.example.com", "other")] } },
    {
      path: "spec.authentication.domains[1].domain",
      message: /the domain a\.example\.com is also that of item 0 of this list: remove one of the two/,
      rule: "authentication-domains-are-unique",
      server: /Duplicate value/,
    },
  ),
  ...["pbx.invalid", "anonymous.invalid", "invalid"].map((domain) =>
    router(
      `users of the domain ${domain}`,
      { authentication: { mode: "Digest", domains: [tenant(domain, "users")] } },
      {
        path: "spec.authentication.domains[0].domain",
        message: /domains that end in invalid are nobody's/,
        rule: "authentication-domain-exists",
      },
    ),
  ),
  router(
    "a domain that is too long beside a user",
    { authentication: { mode: "Digest", domains: [tenant("a.".repeat(96) + "a", "users")] } },
    {
      path: "spec.authentication.domains[0].domain",
      message: /at most 191 characters/,
      server: /Too long|may not be more than 191/,
    },
  ),
  router(
    "no domain of users",
    { authentication: { mode: "Digest", domains: [] } },
    { path: "spec.authentication.domains", message: /use at least 1 items/, server: /at least 1 items/ },
  ),
  router(
    "a domain of users in upper case",
    { authentication: { mode: "Digest", domains: [tenant("A.example.com", "users")] } },
    {
      path: "spec.authentication.domains[0].domain",
      message: /use a domain in lower case/,
      server: /should match/,
    },
  ),
  router(
    "a limit of contacts where no location is kept",
    { registration: { maxContacts: 4 } },
    {
      path: "spec.registration.maxContacts",
      message: /counts in the mode Registrar only/,
      rule: "max-contacts-needs-registrar",
    },
  ),
  router(
    "keep-alives where no location is kept",
    { registration: { natKeepAliveSeconds: 20 } },
    {
      path: "spec.registration.natKeepAliveSeconds",
      message: /counts in the mode Registrar only.*qualify_frequency/,
      rule: "nat-keep-alive-needs-registrar",
    },
  ),
  router("health check every second", { healthCheck: { intervalSeconds: 1, timeoutSeconds: 1 } }),
  router(
    "health timeout longer than interval",
    { healthCheck: { intervalSeconds: 1 } },
    {
      path: "spec.healthCheck.timeoutSeconds",
      message: /must not be longer than intervalSeconds/,
      rule: "health-timeout-within-interval",
    },
  ),
  router("load balancer", {
    service: { type: "LoadBalancer", externalTrafficPolicy: "Local", loadBalancerClass: "example.com/internal" },
  }),
  router(
    "traffic policy of a ClusterIP",
    { service: { externalTrafficPolicy: "Local" } },
    {
      path: "spec.service.externalTrafficPolicy",
      message: /no meaning for a ClusterIP/,
      rule: "traffic-policy-needs-external-service",
    },
  ),
  router(
    "load balancer class of a NodePort",
    { service: { type: "NodePort", loadBalancerClass: "x" } },
    {
      path: "spec.service.loadBalancerClass",
      message: /without a load balancer/,
      rule: "load-balancer-class-needs-load-balancer",
    },
  ),
  router("access control", { accessControl: { allow: ["10.0.0.0/8", "2001:db8::/32", "192.0.2.1"] } }),
  router(
    "network that is too wide to be one",
    { accessControl: { deny: ["10.0.0.0/33"] } },
    {
      path: "spec.accessControl.deny[0]",
      message: /10\.0\.0\.0\/8/,
      server: /should match/,
    },
  ),
  router(
    "mistyped IPv6 network",
    { accessControl: { allow: ["2001:db8:::/32"] } },
    {
      path: "spec.accessControl.allow[0]",
      message: /address or a network/,
      rule: "network-is-valid",
    },
  ),
  router("replies", { failover: { replies: ["4xx", "503"] } }),
  router(
    "reply that is a success",
    { failover: { replies: ["200"] } },
    {
      path: "spec.failover.replies[0]",
      message: /400 to 599/,
      server: /should match/,
    },
  ),
  router("anything for the pod", {
    kamailio: { resources: { limits: { cpu: "1" } }, podTemplate: { spec: { tolerations: [] } } },
  }),
  { ...router("name of 40 characters", {}), metadataName: "r".repeat(40) },
  {
    ...router(
      "name of 41 characters",
      {},
      {
        path: "metadata.name",
        message: /at most 40 characters/,
        rule: "router-name-is-short",
      },
    ),
    metadataName: "r".repeat(41),
  },
  {
    ...router(
      "name with a dot",
      {},
      {
        path: "metadata.name",
        message: /a letter first/,
        rule: "router-name-fits-service",
      },
    ),
    metadataName: "edge.eu",
  },
];

export const apiCases: readonly ApiCase[] = [
  ...backendCases,
  ...listenerCases,
  ...setCases,
  ...routeCases,
  ...operationCases,
];

/** Every optional field given once: what the tests of hostile text start from. */
export const fullRouter: Fields = {
  replicas: 2,
  listeners: [{ name: "tls", transport: "TLS", port: 5061, tls: { secretName: "edge-tls" } }],
  service: {
    type: "LoadBalancer",
    annotations: { a: "b" },
    externalTrafficPolicy: "Local",
    sessionAffinity: "ClientIP",
    loadBalancerClass: "internal",
  },
  advertise: { address: "203.0.113.10" },
  hostNetwork: false,
  dispatcherSets: [
    {
      name: "pbx",
      id: 1,
      algorithm: "Weighted",
      backends: [{ name: "pbx-1", priority: 1, weight: 20 }],
      selector: { matchLabels: { role: "pbx" }, matchExpressions: [{ key: "region", operator: "In", values: ["eu"] }] },
    },
  ],
  routes: [
    {
      name: "r",
      match: { extensions: ["1000-1999"], prefixes: ["+44"], domains: ["example.com"] },
      set: "pbx",
      callers: "Trusted",
      rewrite: { strip: 1, prefix: "+44" },
    },
  ],
  external: { set: "pbx", callers: "Trusted" },
  failover: { timeoutSeconds: 2, replies: ["408"], maxAttempts: 4 },
  healthCheck: { intervalSeconds: 30, timeoutSeconds: 2, failureThreshold: 3, successThreshold: 1 },
  registration: { mode: "Forward", maxExpiresSeconds: 300 },
  authentication: { mode: "Digest", realm: "example.com", credentialsSecretName: "subscribers" },
  accessControl: { allow: ["10.0.0.0/8"], deny: ["192.0.2.1"] },
  rateLimit: { requestsPerSecond: 50, banSeconds: 300 },
  topologyHiding: { enabled: true },
  mediaProxy: { rtpengine: { addresses: ["udp:10.0.0.9:2223"] } },
  drain: { timeoutSeconds: 900 },
  kamailio: { image: "kamailio:5.6", resources: {}, shmMemoryMiB: 256, workers: 4, podTemplate: {} },
};
export const fullRouters: readonly Fields[] = [
  fullRouter,
  { ...minimalRouter, authentication: { mode: "Digest", domains: [tenant("a.example.com")] } },
];
export const fullBackends: readonly Fields[] = [
  {
    address: "192.0.2.10",
    port: 5060,
    transport: "UDP",
    adminState: "Enabled",
    maxCalls: 200,
    credentialsSecretName: "trunk-1",
    management: { ami: { port: 5038, secretName: "ami" } },
  },
  { service: { name: "asterisk", port: "sip" } },
  { registration: { username: "pbx-1", secretName: "pbx-1" } },
];

export interface TextField {
  /** `spec.routes[0].name` */
  readonly path: string;
  /** the object with another text there; shares nothing with the original */
  with(text: string): Fields;
}

/** Every text in a spec, one entry each. */
export function textFields(spec: Fields): readonly TextField[] {
  const found: TextField[] = [];
  const visit = (value: unknown, keys: readonly (string | number)[], path: string): void => {
    if (typeof value === "string")
      found.push({
        path,
        with: (text) => {
          const copy = structuredClone(spec);
          const parent = keys.slice(0, -1).reduce<Fields>((at, key) => at[key] as Fields, copy);
          parent[keys.at(-1) ?? ""] = text;
          return copy;
        },
      });
    else if (Array.isArray(value)) value.forEach((item, index) => visit(item, [...keys, index], `${path}[${index}]`));
    else if (typeof value === "object" && value !== null)
      for (const [key, child] of Object.entries(value)) visit(child, [...keys, key], `${path}.${key}`);
  };
  visit(spec, [], "spec");
  return found;
}

/** Free text on purpose: it reaches Kubernetes objects only, never a Kamailio file. */
export const freeText: ReadonlySet<string> = new Set(["spec.service.annotations.a"]);

export const hostileTexts: readonly string[] = [
  '"',
  "'",
  "a\r\nb",
  "a\nb",
  "a;b",
  "#!define X",
  "$var(x)",
  "`id`",
  "a b",
  "a\u0000b",
  "<x>",
  "(",
  "\\",
  "{",
  "ä",
  "a".repeat(1100),
];

/** Every rule of the schemas: name -> the static message that the API server shows. */
export function declaredRules(): ReadonlyMap<string, string> {
  const rulesIn = (json: unknown): { name: string; message: string }[] => {
    if (typeof json !== "object" || json === null) return [];
    return Object.entries(json).flatMap(([key, value]) =>
      key === "rules" && Array.isArray(value) ? (value as { name: string; message: string }[]) : rulesIn(value),
    );
  };
  const all = kinds.flatMap((kind) => [...kind.rules, ...rulesIn(z.toJSONSchema(kind.spec, { io: "input" }))]);
  return new Map(all.map(({ name, message }) => [name, message]));
}
