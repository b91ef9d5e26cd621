/** PbxBackend: one PBX, or one group of identical PBX pods. */
import { z } from "zod";
import { host, name, objectName, port, transport } from "./fields.ts";
import { conditions } from "./conditions.ts";
import { withRules } from "./rules.ts";

export const adminState = z.enum(["Enabled", "Draining", "Disabled"]);
export type AdminState = z.infer<typeof adminState>;

const service = z.strictObject({
  name: name.describe("Name of the Service, in the namespace of the PbxBackend."),
  port: z
    .union([name, port], "must be the name of a port of the Service, or its number (1 to 65535)")
    .optional()
    .describe("Port of the Service, by name or by number. Default: its only port of the transport's protocol."),
});

const registration = z.strictObject({
  username: z
    .string()
    .min(1)
    .max(64)
    .regex(/^[A-Za-z0-9._~-]+$/, "use letters, digits, dots, dashes, underscores and tildes")
    .describe("User that the PBX registers as (user part of the To header, RFC 3261 10.2)."),
  secretName: objectName.describe("Secret with the key `password`: what the PBX authenticates its REGISTER with."),
});

const management = z.strictObject({
  ami: z
    .strictObject({
      port: port.default(5038).describe("TCP port of the Asterisk Manager Interface."),
      secretName: objectName.describe(
        "Secret with the keys `username` and `password` of a manager user that may read (system, reporting); with `tls` also `ca.crt`, PEM, where the system's authorities are not meant.",
      ),
      tls: z
        .boolean()
        .default(false)
        .describe(
          "TLS from the first byte, as `tlsenable` of manager.conf. The certificate must be for the address; for `SERVICE.NAMESPACE.svc` when the backend is a Service.",
        ),
    })
    .describe("Asterisk Manager Interface of the PBX: its version, its live channels, and when a drain is done."),
});

/** {@link backendPort} gives the port in force: its default depends on the transport, so it is not in the schema. */
export const pbxBackendSpec = withRules(
  z.strictObject({
    address: host
      .optional()
      .describe(
        "Address of the PBX: IPv4, IPv6 without brackets, or a whole DNS name (all its addresses of the pods' IP version are used; hosts file and search domains are not). One of address, service and registration must be given.",
      ),
    port: port.optional().describe("SIP port at the address. Default: 5060, and 5061 when the transport is TLS."),
    transport: transport
      .default("UDP")
      .describe("Transport of SIP messages to the PBX (parameter `transport` of the destination's URI)."),
    service: service
      .optional()
      .describe(
        "Service in front of PBX pods: one destination for each ready endpoint, by pod IP, never the ClusterIP. Instead of address.",
      ),
    registration: registration
      .optional()
      .describe("The PBX registers itself with the router; its contact is the destination. Instead of address."),
    adminState: adminState
      .default("Enabled")
      .describe(
        "Enabled: takes calls. Draining: gets no new calls, calls in progress go on. Disabled: gets no calls and no OPTIONS.",
      ),
    maxCalls: z
      .int()
      .min(1)
      .max(100_000)
      .optional()
      .describe("Most concurrent calls to this backend; further calls go to the next destination. Default: no limit."),
    credentialsSecretName: objectName
      .optional()
      .describe(
        "Secret with the keys `username` and `password`: the router answers a 401 or 407 of this backend with them (digest, RFC 3261 22).",
      ),
    management: management.optional().describe("Management interface of the PBX. Read only; calls never depend on it."),
  }),
  [
    {
      name: "backend-has-one-source",
      cel: "[has(self.address), has(self.service), has(self.registration)].exists_one(given, given)",
      message: "exactly one of address, service and registration must be given: add one, or remove the others.",
      check: (spec) => {
        const given = (["address", "service", "registration"] as const).filter((field) => spec[field] !== undefined);
        if (given.length === 1) return [];
        const message =
          given.length === 0
            ? "one of address, service and registration must be given: add one."
            : `only one of address, service and registration may be given: keep one of ${given.join(", ")}.`;
        return [{ path: [], message }];
      },
    },
    {
      name: "port-needs-address",
      cel: "!has(self.port) || has(self.address)",
      fieldPath: ".port",
      message: "port belongs to address: remove it (for a Service, give service.port).",
      check: (spec) => (spec.port === undefined || spec.address !== undefined ? [] : [{ path: ["port"] }]),
    },
  ],
);
export type PbxBackendSpec = z.infer<typeof pbxBackendSpec>;

/** The SIP port of `address` in force (RFC 3261 19.1.2: 5060, and 5061 for TLS). */
export const backendPort = (spec: Pick<PbxBackendSpec, "port" | "transport">): number =>
  spec.port ?? (spec.transport === "TLS" ? 5061 : 5060);

/** The dispatcher state of a backend as the pods of one router report it. */
export const backendState = z.enum(["Active", "Inactive", "Probing", "Disabled", "Mixed", "Unknown"]);
export type BackendState = z.infer<typeof backendState>;

const endpoint = z.object({
  address: z.string().describe("IP address."),
  port: z.int().describe("SIP port."),
  transport: transport.describe("Transport of SIP messages."),
  ready: z.boolean().describe("False: the EndpointSlice says not ready, or terminating: no new calls."),
});

const routerView = z.object({
  name: z.string().describe("Name of the SipRouter."),
  state: backendState.describe(
    "Dispatcher state: Active, Inactive (answers no OPTIONS), Probing (inactive, being tried), Disabled (by adminState), Mixed (pods differ), Unknown (no pod has reported).",
  ),
  activePods: z.int().describe("Ready Kamailio pods in which a destination of the backend takes calls."),
  totalPods: z.int().describe("Ready Kamailio pods of the router."),
  lastTransitionTime: z.string().describe("When the state last changed (RFC 3339)."),
});

/** What the Asterisk Manager of one address says. */
export const managerState = z.enum(["Connected", "Unreachable", "LoginRefused", "Denied", "Untrusted"]);

const manager = z.object({
  address: z.string().describe("IP address."),
  port: z.int().describe("Port of the Asterisk Manager Interface."),
  state: managerState.describe(
    "Connected, Unreachable, LoginRefused (wrong user or password), Denied (the user may not read), Untrusted (its certificate is not trusted).",
  ),
  version: z.string().optional().describe("Version of Asterisk, as it was last told."),
  lastTransitionTime: z.string().describe("When the state last changed (RFC 3339)."),
});

export const pbxBackendStatus = z.object({
  observedGeneration: z
    .int()
    .default(-1)
    .describe("Generation of the spec that this status is about; -1: not yet seen."),
  conditions,
  endpoints: z.array(endpoint).optional().describe("SIP addresses that the backend stands for now."),
  routers: z
    .array(routerView)
    .meta({ "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["name"] })
    .optional()
    .describe("Each SipRouter that uses the backend, with the dispatcher state in its Kamailio pods."),
  management: z
    .array(manager)
    .optional()
    .describe("With `management.ami`: each address of the backend, with what its Asterisk Manager says."),
});
export type PbxBackendStatus = z.infer<typeof pbxBackendStatus>;
