/** SipRouter: a Kamailio fleet and its dialplan. */
import { z } from "zod";
import { cidr, domain, extension, host, name, objectName, port, prefix, transport } from "./fields.ts";
import { conditions } from "./conditions.ts";

export const algorithm = z.enum([
  "RoundRobin", "Weighted", "Priority", "CallLoad", "HashCallId", "HashFrom", "HashTo", "Random", "Latency",
]);
export type Algorithm = z.infer<typeof algorithm>;

export const listener = z.strictObject({
  name,
  transport,
  port,
  tls: z.strictObject({ secretName: objectName }).optional(),
});

/** Priorities 0 to 98: 99 is the tier in which the operator keeps draining destinations. */
export const backendRef = z.strictObject({
  name: objectName,
  priority: z.int().min(0).max(98).default(0),
  weight: z.int().min(1).max(100).optional(),
});

const labelSelector = z.strictObject({
  matchLabels: z.record(z.string().max(317), z.string().max(63)).optional(),
  matchExpressions: z
    .array(
      z.strictObject({
        key: z.string().max(317),
        operator: z.enum(["In", "NotIn", "Exists", "DoesNotExist"]),
        values: z.array(z.string().max(63)).max(64).optional(),
      }),
    )
    .max(16)
    .optional(),
});

export const dispatcherSet = z.strictObject({
  name,
  id: z.int().min(1).max(9999).optional(),
  algorithm: algorithm.default("RoundRobin"),
  backends: z.array(backendRef).max(256).optional(),
  selector: labelSelector.optional(),
});

export const callers = z.enum(["Trusted", "Anyone"]);
export type Callers = z.infer<typeof callers>;

export const route = z.strictObject({
  name,
  match: z.strictObject({
    extensions: z.array(extension).min(1).max(256).optional(),
    prefixes: z.array(prefix).min(1).max(1024).optional(),
    domains: z.array(domain).min(1).max(64).optional(),
  }),
  set: name,
  callers: callers.default("Anyone"),
  rewrite: z
    .strictObject({
      strip: z.int().min(0).max(20).optional(),
      prefix: z.string().min(1).max(20).regex(/^\+?[0-9*#]{0,19}$/).optional(),
    })
    .optional(),
});

export const sipRouterSpec = z.strictObject({
  replicas: z.int().min(0).max(1000).default(2),
  listeners: z
    .array(listener)
    .min(1)
    .max(16)
    .default([
      { name: "udp", transport: "UDP", port: 5060 },
      { name: "tcp", transport: "TCP", port: 5060 },
    ]),
  service: z
    .strictObject({
      type: z.enum(["ClusterIP", "NodePort", "LoadBalancer"]).default("ClusterIP"),
      annotations: z.record(z.string(), z.string()).optional(),
      externalTrafficPolicy: z.enum(["Local", "Cluster"]).optional(),
      loadBalancerClass: z.string().max(253).optional(),
    })
    .prefault({}),
  advertise: z.strictObject({ address: host }).optional(),
  hostNetwork: z.boolean().default(false),
  dispatcherSets: z.array(dispatcherSet).min(1).max(256),
  routes: z.array(route).max(10_000).default([]),
  external: z.strictObject({ set: name, callers: callers.default("Trusted") }).optional(),
  failover: z
    .strictObject({
      timeoutSeconds: z.int().min(1).max(30).default(2),
      replies: z.array(z.string().regex(/^([45][0-9]{2}|[45]xx)$/)).min(1).max(16).default(["408", "5xx"]),
      maxAttempts: z.int().min(1).max(16).default(4),
    })
    .prefault({}),
  healthCheck: z
    .strictObject({
      intervalSeconds: z.int().min(1).max(3600).default(30),
      timeoutSeconds: z.int().min(1).max(30).default(2),
      failureThreshold: z.int().min(1).max(20).default(3),
      successThreshold: z.int().min(1).max(20).default(1),
    })
    .prefault({}),
  registration: z
    .strictObject({
      mode: z.enum(["Forward", "ForwardAll", "Registrar", "Reject"]).default("Forward"),
      maxExpiresSeconds: z.int().min(30).max(86_400).default(300),
    })
    .prefault({}),
  authentication: z
    .strictObject({ mode: z.enum(["Digest"]), realm: domain, credentialsSecretName: objectName })
    .optional(),
  accessControl: z
    .strictObject({ allow: z.array(cidr).max(1024).default([]), deny: z.array(cidr).max(1024).default([]) })
    .optional(),
  rateLimit: z
    .strictObject({ requestsPerSecond: z.int().min(1).max(100_000), banSeconds: z.int().min(1).max(86_400).default(300) })
    .optional(),
  topologyHiding: z.strictObject({ enabled: z.boolean().default(false) }).optional(),
  mediaProxy: z
    .strictObject({
      rtpengine: z.strictObject({
        addresses: z.array(z.string().max(64).regex(/^udp:([0-9.]+|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/)).min(1).max(16),
      }),
    })
    .optional(),
  drain: z.strictObject({ timeoutSeconds: z.int().min(0).max(86_400).default(900) }).prefault({}),
  kamailio: z
    .strictObject({
      image: z.string().max(512).regex(/^[A-Za-z0-9./:@_-]*$/).default(""),
      resources: z.record(z.string(), z.unknown()).optional(),
      shmMemoryMiB: z.int().min(32).max(65_536).default(256),
      workers: z.int().min(1).max(64).default(4),
      podTemplate: z.record(z.string(), z.unknown()).optional(),
    })
    .prefault({}),
});
export type SipRouterSpec = z.infer<typeof sipRouterSpec>;

export const podState = z.enum(["InSync", "Pending", "Stale", "Failed"]);
export type PodState = z.infer<typeof podState>;

export const sipRouterStatus = z.object({
  observedGeneration: z.int().default(-1),
  conditions,
  replicas: z.int().optional(),
  readyReplicas: z.int().optional(),
  selector: z.string().optional(),
  addresses: z.array(z.string()).optional(),
  sets: z.array(z.object({ name: z.string(), id: z.int(), destinations: z.int(), active: z.int() })).optional(),
  /** "active/destinations" over all sets: the ACTIVE printer column. */
  active: z.string().optional(),
  revision: z.string().optional(),
  pods: z
    .array(z.object({ name: z.string(), revision: z.string().optional(), state: podState, message: z.string().optional() }))
    .optional(),
});
export type SipRouterStatus = z.infer<typeof sipRouterStatus>;
