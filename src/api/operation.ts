/** Parts of a SipRouter that say how its fleet is run: Service, failover, health checks, registration, the container. */
import { z } from "zod";
import { withRules } from "./rules.ts";

export const service = withRules(
  z.strictObject({
    type: z.enum(["ClusterIP", "NodePort", "LoadBalancer"]).default("ClusterIP").describe("Type of the SIP Service."),
    annotations: z
      .record(z.string(), z.string())
      .optional()
      .describe("Annotations of the Service, such as a cloud's load balancer settings."),
    externalTrafficPolicy: z
      .enum(["Local", "Cluster"])
      .optional()
      .describe(
        "Local keeps the caller's address, which SIP needs. Not with the type ClusterIP. Default: that of Kubernetes, Cluster.",
      ),
    sessionAffinity: z
      .enum(["None", "ClientIP"])
      .optional()
      .describe(
        "ClientIP keeps the packets of one address with one pod, where the Service brings them to it. Default: that of Kubernetes, None.",
      ),
    loadBalancerClass: z
      .string()
      .max(253)
      .regex(
        /^([a-z0-9]([-a-z0-9.]*[a-z0-9])?\/)?[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$/,
        "use a class name, such as example.com/internal",
      )
      .optional()
      .describe("Implementation of the load balancer; with the type LoadBalancer only."),
  }),
  [
    {
      name: "traffic-policy-needs-external-service",
      cel: "!has(self.externalTrafficPolicy) || self.type != 'ClusterIP'",
      fieldPath: ".externalTrafficPolicy",
      message: "has no meaning for a ClusterIP Service: remove it, or use the type NodePort or LoadBalancer.",
      check: ({ type, externalTrafficPolicy }) =>
        externalTrafficPolicy !== undefined && type === "ClusterIP" ? [{ path: ["externalTrafficPolicy"] }] : [],
    },
    {
      name: "load-balancer-class-needs-load-balancer",
      cel: "!has(self.loadBalancerClass) || self.type == 'LoadBalancer'",
      fieldPath: ".loadBalancerClass",
      message: "has no meaning without a load balancer: remove it, or use the type LoadBalancer.",
      check: ({ type, loadBalancerClass }) =>
        loadBalancerClass !== undefined && type !== "LoadBalancer" ? [{ path: ["loadBalancerClass"] }] : [],
    },
  ],
);

export const failover = z.strictObject({
  timeoutSeconds: z
    .int()
    .min(1)
    .max(30)
    .default(2)
    .describe("Seconds without any reply after which the next destination is tried (Kamailio: tm `fr_timer`)."),
  replies: z
    .array(z.string().regex(/^([45][0-9]{2}|[45]xx)$/, "use a reply code from 400 to 599, or 4xx or 5xx"))
    .min(1)
    .max(16)
    .default(["408", "5xx"])
    .describe(
      "Replies that make the router try the next destination: a code, 4xx or 5xx. 408 includes no answer at all.",
    ),
  maxAttempts: z.int().min(1).max(16).default(4).describe("Most destinations tried for one call, the first included."),
});

export const healthCheck = withRules(
  z.strictObject({
    intervalSeconds: z
      .int()
      .min(1)
      .max(3600)
      .default(30)
      .describe("Seconds between two OPTIONS to a destination (Kamailio: dispatcher `ds_ping_interval`)."),
    timeoutSeconds: z
      .int()
      .min(1)
      .max(30)
      .default(2)
      .describe("Seconds in which the OPTIONS must be answered (Kamailio: `fr_timer` of the OPTIONS alone)."),
    failureThreshold: z
      .int()
      .min(1)
      .max(20)
      .default(3)
      .describe("Failed OPTIONS in a row that make a destination inactive (`ds_probing_threshold`)."),
    successThreshold: z
      .int()
      .min(1)
      .max(20)
      .default(1)
      .describe("Answered OPTIONS in a row that make it active again (`ds_inactive_threshold`)."),
  }),
  [
    {
      name: "health-timeout-within-interval",
      cel: "self.timeoutSeconds <= self.intervalSeconds",
      fieldPath: ".timeoutSeconds",
      message: "timeoutSeconds must not be longer than intervalSeconds: shorten it, or lengthen the interval.",
      check: ({ timeoutSeconds, intervalSeconds }) =>
        timeoutSeconds <= intervalSeconds ? [] : [{ path: ["timeoutSeconds"] }],
    },
  ],
);

export const registration = withRules(
  z.strictObject({
    mode: z
      .enum(["Forward", "ForwardAll", "Registrar", "Reject"])
      .default("Forward")
      .describe(
        "Forward: REGISTER goes to the PBX that owns the extension, with Path (RFC 3327). ForwardAll: to every destination of the set; needs authentication. Registrar: the router keeps the location. Reject: 403.",
      ),
    maxExpiresSeconds: z
      .int()
      .min(30)
      .max(86_400)
      .default(300)
      .describe(
        "Longest time between two REGISTER of a phone; a longer one is shortened: it bounds the time to be reachable after a failover.",
      ),
    maxContacts: z
      .int()
      .min(1)
      .max(30)
      .optional()
      .describe(
        "Most phones that one user may register with the router, in the mode Registrar only (Kamailio: `max_contacts`). All of them ring at once, and Kamailio calls no more than 30. Default: 10.",
      ),
    natKeepAliveSeconds: z
      .int()
      .min(0)
      .max(3600)
      .optional()
      .describe(
        "Seconds between two OPTIONS to a phone behind NAT on UDP, which keep its way open, in the mode Registrar only (Kamailio: nathelper `natping_interval`); 0: none. Default: 30.",
      ),
  }),
  [
    {
      name: "max-contacts-needs-registrar",
      cel: "!has(self.maxContacts) || self.mode == 'Registrar'",
      fieldPath: ".maxContacts",
      message: "maxContacts counts in the mode Registrar only, as other modes keep no location: remove it.",
      check: ({ mode, maxContacts }) =>
        maxContacts !== undefined && mode !== "Registrar" ? [{ path: ["maxContacts"] }] : [],
    },
    {
      name: "nat-keep-alive-needs-registrar",
      cel: "!has(self.natKeepAliveSeconds) || self.mode == 'Registrar'",
      fieldPath: ".natKeepAliveSeconds",
      message:
        "natKeepAliveSeconds counts in the mode Registrar only: remove it, and let the PBX send OPTIONS to its phones (Asterisk: qualify_frequency).",
      check: ({ mode, natKeepAliveSeconds }) =>
        natKeepAliveSeconds !== undefined && mode !== "Registrar" ? [{ path: ["natKeepAliveSeconds"] }] : [],
    },
  ],
);

export const kamailio = z.strictObject({
  image: z
    .string()
    .max(512)
    .regex(/^[A-Za-z0-9./:@_-]*$/, "use an image reference such as registry.example.com/kamailio:5.6")
    .default("")
    .describe("Image of the Kamailio container; empty: the operator's default."),
  resources: z
    .record(z.string(), z.unknown())
    .optional()
    .describe("Compute resources of the Kamailio container (core/v1 ResourceRequirements)."),
  shmMemoryMiB: z.int().min(32).max(65_536).default(256).describe("Shared memory in MiB (Kamailio: option `-m`)."),
  workers: z
    .int()
    .min(1)
    .max(64)
    .default(4)
    .describe("Worker processes per UDP listener, and for TCP (Kamailio: `children`)."),
  podTemplate: z
    .record(z.string(), z.unknown())
    .optional()
    .describe(
      "Labels, annotations, scheduling, volumes and sidecars to add to the pods (parts of core/v1 PodTemplateSpec).",
    ),
});

export const rtpengineAddress = z
  .string()
  .max(64)
  .regex(/^udp:([0-9.]+|\[[0-9A-Fa-f:]+\]|[A-Za-z0-9.-]+):[0-9]{1,5}$/, "use udp:host:port, such as udp:10.0.0.9:2223");
